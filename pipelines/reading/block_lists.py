"""Which addresses lists keep out: by host, exact address, and words in the address.

A listed host blocks itself and all hosts below it, whatever list of "domains" or "subdomains" it came from. Everything
is compared in lower case and after undoing escapes, so that `/PORN/` and `/p%6Frn/` are `/porn/`. The rules and their
order are datatrove's URLFilter's; what differs is case, escapes, and hosts below a listed subdomain, which pass there.

Lists are text, one entry a line, maybe compressed (.gz); `#` begins a comment; of a hosts file's line the name counts.
A file of which most lines are no entries of its kind is refused: it is in another encoding or in another format.
A folder stands for the files in it, at any depth: `domains` and `urls` in UT1's layout, else all `.txt` and `.gz`.
Millions of entries are kept as sorted 64-bit hashes, 8 bytes each: with 10 million of them, one address in about
10^12 would be taken for another.
"""

import gzip
import re
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines.errors import SettingsError
from pipelines.reading.urls import absolute, host, key, plain_host
from pipelines.settings import Urls

KINDS = ("domains", "urls", "hard_words", "soft_words", "subwords")
BATCH = 50_000  # addresses at once
MAX_HOST_CHARS = 253  # of DNS; of a longer name only the whole is looked up

_WORDS = re.compile(r"[a-z0-9]+")
_HOSTS_LINE = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s+")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, eq=False)
class BlockLists:
    """Lists that are ready to be asked; `num_skipped` lines were no entries."""

    hosts: np.ndarray  # uint64, sorted
    urls: np.ndarray
    hard_words: frozenset[str]
    soft_words: frozenset[str]
    min_soft_words: int
    subwords: str  # an RE2 expression, "" without any
    num_skipped: int

    @property
    def is_empty(self) -> bool:
        return not (len(self.hosts) or len(self.urls) or self.hard_words or self.soft_words or self.subwords)


def list_files(settings: Urls) -> dict[str, list[Path]]:
    """The files of every kind of list, in the order of their paths; their digests belong to a stage's address.

    Raises SettingsError for a path where nothing is, or a folder without a list.
    """
    return {kind: sorted({file for path in getattr(settings, kind) for file in _files(kind, path)}) for kind in KINDS}


def load(settings: Urls) -> BlockLists:
    """The lists that the settings name, read once a process."""
    files = {kind: tuple(paths) for kind, paths in list_files(settings).items()}
    stamps = tuple((str(path), path.stat().st_size, path.stat().st_mtime_ns) for kind in KINDS for path in files[kind])
    return _loaded(settings, stamps)


def url_reasons(urls: pa.Array | pa.ChunkedArray, lists: BlockLists) -> pa.Array:
    """Why each address is kept out, null where it is not: `url_domain`, `url_exact`, `url_hard_word`,
    `url_soft_words` or `url_subword`, the first that holds."""
    if lists.is_empty:
        return pa.nulls(len(urls), pa.string())
    column = urls if isinstance(urls, pa.ChunkedArray) else pa.chunked_array([urls])
    pieces = [_reasons(column.slice(at, BATCH).to_pylist(), lists) for at in range(0, len(column), BATCH)]
    return pa.concat_arrays(pieces) if pieces else pa.array([], pa.string())


# ---------------------------------------------------------------------------------------------------------
# Asking


def _reasons(urls: list[str | None], lists: BlockLists) -> pa.Array:
    texts = [url or "" for url in urls]
    reasons = np.full(len(texts), None, object)
    plain = [unquote(text).lower() if "%" in text else text.lower() for text in texts]
    words = [set(_WORDS.findall(text)) for text in plain] if lists.hard_words or lists.soft_words else []
    for reason, hit in (
        ("url_subword", _with_subword(plain, lists)),
        ("url_soft_words", _with_words(words, lists.soft_words, lists.min_soft_words)),
        ("url_hard_word", _with_words(words, lists.hard_words, 1)),
        ("url_exact", _listed([[key(text)] for text in texts], lists.urls) if len(lists.urls) else None),
        (
            "url_domain",
            _listed([_parents(host(absolute(text))) for text in texts], lists.hosts) if len(lists.hosts) else None,
        ),
    ):  # the first rule last, so that it has the last word
        if hit is not None:
            reasons[hit] = reason
    return pa.array(reasons, pa.string())


def _parents(name: str) -> list[str]:
    """The host and all above it: a.b.example, b.example, example."""
    labels = name.split(".") if len(name) <= MAX_HOST_CHARS else [name]
    return list(accumulate(reversed(labels), lambda below, label: f"{label}.{below}"))


def _listed(names: list[list[str]], listed: np.ndarray) -> np.ndarray:
    """bool [rows]: one of the row's names is listed."""
    known: dict[str, int] = {}
    codes = np.array([known.setdefault(name, len(known)) for row in names for name in row], np.int64)
    rows = np.repeat(np.arange(len(names)), [len(row) for row in names])
    hashes = _hashes(known)
    at = np.minimum(np.searchsorted(listed, hashes), len(listed) - 1)
    found = (listed[at] == hashes)[codes]
    hit = np.zeros(len(names), bool)
    hit[rows[found]] = True
    return hit


def _with_words(rows: list[set[str]], words: frozenset[str], at_least: int) -> np.ndarray | None:
    if not words:
        return None
    if at_least == 1:
        return np.array([not words.isdisjoint(row) for row in rows])
    return np.array([len(words & row) >= at_least for row in rows])


def _with_subword(texts: list[str], lists: BlockLists) -> np.ndarray | None:
    if not lists.subwords:
        return None
    letters = pc.replace_substring_regex(pa.array(texts, pa.string()), "[^a-z0-9]", "")
    return np.asarray(pc.match_substring_regex(letters, lists.subwords))


# ---------------------------------------------------------------------------------------------------------
# Reading


def _files(kind: str, path: str) -> list[Path]:
    place = Path(path).expanduser()
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise SettingsError(f"urls.{kind}: no file or folder {path}")
    inside = sorted(file for file in place.rglob("*") if file.is_file())
    named = [file for file in inside if file.name.removesuffix(".gz") == kind]
    found = named or [file for file in inside if file.suffix in (".txt", ".gz")]
    if not found:
        raise SettingsError(f"urls.{kind}: no list in the folder {path}: no file named `{kind}`, .txt or .gz")
    return found


@lru_cache(maxsize=4)
def _loaded(settings: Urls, stamps: tuple[Any, ...]) -> BlockLists:
    files = list_files(settings)
    skipped = [0]
    hosts, urls = (_table(_entries(kind, files[kind], skipped)) for kind in KINDS[:2])
    hard, soft, sub = (frozenset(_entries(kind, files[kind], skipped)) for kind in KINDS[2:])
    pattern = "|".join(map(re.escape, sorted(sub)))
    return BlockLists(hosts, urls, hard, soft, settings.min_soft_words, pattern, skipped[0])


def _entries(kind: str, files: Iterable[Path], skipped: list[int]) -> Iterator[str]:
    entry = _ENTRY.get(kind, _word_entry)
    for file in files:
        try:
            with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
                num_entries = num_others = 0
                for line in lines:
                    text = line.removeprefix(BOM_UTF8).decode("utf-8", "replace").partition("#")[0].strip()
                    if text:
                        found = entry(text)
                        if found:
                            num_entries += 1
                            yield found
                        else:
                            num_others += 1
        except (OSError, EOFError, zlib.error) as error:
            raise SettingsError(f"{file} cannot be read as a list of addresses or words: {error}") from None
        if num_others > num_entries:
            raise SettingsError(
                f"{file}: {num_others} of {num_entries + num_others} lines are no entries of a list of {kind}; write "
                "one entry a line, in UTF-8, or leave the file out"
            )
        skipped[0] += num_others


def _host_entry(text: str) -> str:
    name = _HOSTS_LINE.sub("", text, count=1)
    if name.isascii() and _HOST.fullmatch(name):
        return name
    name = plain_host(host(name) if "://" in name else name.partition("/")[0].removeprefix("*").lstrip("."))
    return name if _HOST.fullmatch(name) else ""


def _url_entry(text: str) -> str:
    return key(text) if text.isprintable() and not any(mark in text for mark in (" ", "\ufffd")) else ""


def _word_entry(text: str) -> str:
    word = text.lower()
    return word if _WORDS.fullmatch(word) else ""


_ENTRY: dict[str, Callable[[str], str]] = {"domains": _host_entry, "urls": _url_entry}


def _table(names: Iterable[str]) -> np.ndarray:
    return np.unique(_hashes(names))


def _hashes(names: Iterable[str]) -> np.ndarray:
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(name.encode("utf-8", "surrogatepass")) for name in names), np.uint64)
