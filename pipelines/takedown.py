"""Documents that must not be in any later dataset: a list of addresses, domains and ids that people asked to take out.

The list is `takedown/list.jsonl` in the workspace, one entry a line, and only grows. It changes no stage and no search:
the export leaves the documents out of the next version and names the list's digest in the card.
"""

import datetime
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.digest import digest_of
from pipelines.errors import InputError
from pipelines.reading.urls import absolute, host, key, plain_host, registered_domain
from pipelines.records import ID
from pipelines.store import Workspace

PLACE = ("takedown", "list.jsonl")
MAX_REASON_CHARS = 1000

Kind = Literal["url", "domain", "id"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One wish: a page by its address, a host with all below it, or a document by its id in hexadecimal."""

    kind: Kind
    value: str
    date: str  # ISO 8601, of the wish
    reason: str

    @property
    def name(self) -> str:
        """What the entry is looked up by: the same for all ways to write the same address."""
        if self.kind == "url":
            return key(self.value)
        return plain_host(self.value) if self.kind == "domain" else self.value.lower()


@dataclass(frozen=True, slots=True)
class Takedown:
    """The list, ready to be asked."""

    entries: tuple[Entry, ...]

    def __len__(self) -> int:
        return len(self.entries)

    def digest(self) -> str:
        """32 hex digits of what is taken out; order, dates, reasons and repeats do not matter."""
        return digest_of(sorted({(entry.kind, entry.name) for entry in self.entries}))[:32]

    def matches(self, ids: pa.Array | pa.ChunkedArray, urls: pa.Array | pa.ChunkedArray) -> pa.Array:
        """bool [rows]: the document is taken out; `ids` are binary of 16 bytes, `urls` strings, row by row."""
        names = {kind: {entry.name for entry in self.entries if entry.kind == kind} for kind in get_args(Kind)}
        listed = pa.array([bytes.fromhex(name) for name in sorted(names["id"])], ID)
        hit = _whole(pc.is_in(ids.cast(ID), value_set=listed))
        if not names["url"] and not names["domain"]:
            return hit
        by_address = [_is_listed(url, names["url"], names["domain"]) for url in urls.to_pylist()]
        return pc.or_(hit, pa.array(by_address, pa.bool_()))


def read(workspace: Workspace) -> Takedown:
    """The workspace's list, empty where there is none; raises InputError naming the first line that is no entry."""
    if not workspace.exists(*PLACE):
        return Takedown(())
    with workspace.open(*PLACE) as file:
        lines = file.read().splitlines()
    return Takedown(tuple(_entry(line, number) for number, line in enumerate(lines, 1) if line.strip()))


def add(workspace: Workspace, entries: Sequence[Entry]) -> int:
    """Append entries that are not there yet, all or none of them; returns how many.

    Raises InputError for an entry that could match nothing, and for a whole public suffix, such as co.uk.
    """
    for entry in entries:
        _must_be_usable(entry, "takedown add")
        if entry.kind == "domain" and not registered_domain(entry.name) and not entry.name.rpartition(".")[2].isdigit():
            raise InputError(
                f"takedown add: domain {entry.value!r} is a public suffix, under which anyone may register; name the "
                f"site, as in site.{entry.name}"
            )
    with workspace.lease(PLACE[0]):
        known = {(entry.kind, entry.name) for entry in read(workspace).entries}
        new = list({(entry.kind, entry.name): entry for entry in entries}.items())
        lines = [_line(entry) for name, entry in new if name not in known]
        if lines:
            before = _stored(workspace)
            with workspace.writing(*PLACE) as file:
                file.write(before + b"".join(lines))
    return len(lines)


# ---------------------------------------------------------------------------------------------------------
# Entries


def _is_listed(url: str, urls: Iterable[str], domains: Iterable[str]) -> bool:
    if url and urls and key(url) in urls:
        return True
    name = host(absolute(url)) if domains else ""
    while name:
        if name in domains:
            return True
        name = name.partition(".")[2]
    return False


def _stored(workspace: Workspace) -> bytes:
    if not workspace.exists(*PLACE):
        return b""
    with workspace.open(*PLACE) as file:
        found = bytes(file.read())
    return found if not found or found.endswith(b"\n") else found + b"\n"


def _line(entry: Entry) -> bytes:
    return (json.dumps(asdict(entry), ensure_ascii=False) + "\n").encode()


def _entry(line: bytes, number: int) -> Entry:
    place = f"{'/'.join(PLACE)}, line {number}"
    try:
        values = json.loads(line)
        entry = Entry(**values)
    except (ValueError, TypeError):
        raise InputError(f"{place}: {line[:80]!r} is no entry; wanted are kind, value, date and reason") from None
    _must_be_usable(entry, place)
    return entry


def _must_be_usable(entry: Entry, place: str) -> None:
    if not all(isinstance(value, str) for value in asdict(entry).values()):
        raise InputError(f"{place}: kind, value, date and reason must be text, not {asdict(entry)}")
    if entry.kind not in get_args(Kind):
        raise InputError(f"{place}: kind {entry.kind!r}; choose one of {', '.join(get_args(Kind))}")
    if entry.kind == "id" and (len(entry.value) != 32 or set(entry.value.lower()) - set("0123456789abcdef")):
        raise InputError(f"{place}: id {entry.value!r} is not 32 hexadecimal digits, as `sirdar trace` prints them")
    if entry.kind == "url" and not host(entry.value):
        raise InputError(f"{place}: url {entry.value!r} is no whole address; write it with http:// or https://")
    if entry.kind == "domain" and ("." not in entry.name or set(entry.name) & set("/:@ ?#*") or ".." in entry.name):
        raise InputError(f"{place}: domain {entry.value!r} is no host name such as example.org")
    try:
        datetime.date.fromisoformat(entry.date[:10])
    except ValueError:
        raise InputError(f"{place}: date {entry.date!r} is not like 2026-01-31") from None
    if not entry.reason.strip() or len(entry.reason) > MAX_REASON_CHARS:
        raise InputError(f"{place}: give a reason, of at most {MAX_REASON_CHARS} characters")


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
