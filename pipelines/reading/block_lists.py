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
from pipelines.reading.urls import host, key, key_and_host, plain_host
from pipelines.settings import Urls

KINDS = ("domains", "urls", "hard_words", "soft_words", "subwords")
BATCH = 50_000  # addresses at once
MAX_HOST_CHARS = 253  # of DNS; of a longer name only the whole is looked up

_WORDS = re.compile(r"[a-z0-9]+")
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789\n")
_OTHERS = bytes(byte for byte in range(256) if byte not in _LETTERS)
_APART = bytes(byte if byte in _LETTERS else 0x20 for byte in range(256))
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
    spelt = _spelt(texts) if lists.hard_words or lists.soft_words or lists.subwords else b""
    pairs = list(map(key_and_host, texts)) if len(lists.urls) or len(lists.hosts) else []
    for reason, hit in (
        ("url_subword", _with_subword(spelt, lists)),
        ("url_soft_words", _with_words(spelt, lists.soft_words, lists.min_soft_words)),
        ("url_hard_word", _with_words(spelt, lists.hard_words, 1)),
        ("url_exact", _listed([pair[0] for pair in pairs], lambda one: [one], lists.urls)),
        ("url_domain", _listed([pair[1] for pair in pairs], _parents, lists.hosts)),
    ):  # the first rule last, so that it has the last word
        if hit is not None:
            reasons[hit] = reason
    return pa.array(reasons, pa.string())


def _spelt(texts: list[str]) -> bytes:
    """The addresses in lower case and without escapes, a line each."""
    plain = [unquote(text) if "%" in text else text for text in texts]
    lines = "\n".join(plain)
    if lines.count("\n") >= len(plain):  # an address holds one
        lines = "\n".join(text.replace("\n", " ") for text in plain)
    return lines.lower().encode()


def _parents(name: str) -> list[str]:
    """The host and all above it: a.b.example, b.example, example."""
    labels = name.split(".") if len(name) <= MAX_HOST_CHARS else [name]
    return list(accumulate(reversed(labels), lambda below, label: f"{label}.{below}"))


def _listed(given: list[str], names: Callable[[str], list[str]], listed: np.ndarray) -> np.ndarray | None:
    """bool [rows]: one of the row's names is listed; the names of equal rows are looked up once."""
    if not len(listed):
        return None
    known: dict[str, int] = {}
    codes = np.array([known.setdefault(one, len(known)) for one in given], np.int64)
    several = list(map(names, known))
    hashes = _hashes(name for row in several for name in row)
    at = np.minimum(np.searchsorted(listed, hashes), len(listed) - 1)
    rows = np.repeat(np.arange(len(several)), [len(row) for row in several])
    hit = np.zeros(len(several), bool)
    hit[rows[listed[at] == hashes]] = True
    return hit[codes]


def _with_words(spelt: bytes, words: frozenset[str], at_least: int) -> np.ndarray | None:
    """bool [lines]: as many of the words, runs of letters and digits, are in the line."""
    if not words:
        return None
    lines = _lines(spelt.translate(_APART))
    hit = np.asarray(pc.match_substring_regex(lines, f"(?:^| )(?:{_any_of(words)})[ \n]"))
    if at_least > 1:
        for row in np.flatnonzero(hit).tolist():
            hit[row] = len(words.intersection(lines[row].as_py().split())) >= at_least
    return hit


def _with_subword(spelt: bytes, lists: BlockLists) -> np.ndarray | None:
    if not lists.subwords:
        return None
    return np.asarray(pc.match_substring_regex(_lines(spelt.translate(None, _OTHERS)), lists.subwords))


def _lines(data: bytes) -> pa.Array:
    """The lines as strings, each with its end, which lie in the bytes as they are."""
    ends = np.append(np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")), len(data))
    offsets = np.concatenate([[0], ends + 1]).astype(np.int64)
    return pa.LargeStringArray.from_buffers(len(ends), pa.py_buffer(offsets), pa.py_buffer(data + b"\n"))


def _any_of(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(words)))


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
    return BlockLists(hosts, urls, hard, soft, settings.min_soft_words, _any_of(sub), skipped[0])


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
