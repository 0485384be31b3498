"""Rows of a file by the column: what readers of JSON lines and Parquet hand on, and the documents that they become.

Nearly all rows are plain, strings as they stand, and become documents column by column. What a row costs otherwise is
not the reading but the Python around it. All others are handed on record by record, with `framed`.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.reading.cleaning import cleaned_texts
from pipelines.reading.framed import Framed, Lost
from pipelines.reading.licence_ids import licence_id
from pipelines.records import DOCUMENTS, ID, document_ids

TOLD = ("id", "url", "date", "source", "licence", "license")
LEAST_PLAIN = 0.5  # of a batch; with fewer, record by record is as fast

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]

_AUTHORITY = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^:/?#\[\]]+)")
_LINE_BREAKS = {0: None, 9: " ", 10: " ", 13: " "}


@dataclass(frozen=True)
class Batch:
    """Rows that follow each other in a file; row r covers [bounds[r], bounds[r + 1]) of it.

    `told` are id, url, date, source and licence, "" where nobody says; the text of row r is the UTF-8 of
    `data[starts[r] : stops[r]]`. Both hold for plain rows only; `framed` gives any row as a record.
    """

    bounds: I64
    plain: Bools
    told: Mapping[str, pa.Array]
    data: Bytes
    starts: I64
    stops: I64
    framed: Callable[[int], Framed]

    def __len__(self) -> int:
        return len(self.plain)

    @property
    def offset(self) -> int:
        return int(self.bounds[0])

    @property
    def next_offset(self) -> int:
        return int(self.bounds[-1])

    def record(self, row: int) -> Framed:
        return self.framed(row).over(int(self.bounds[row]), int(self.bounds[row + 1]))

    def between(self, first: int, stop: int) -> "Batch":
        """Rows from `first` up to `stop`."""
        if (first, stop) == (0, len(self)):
            return self
        return replace(
            self,
            bounds=self.bounds[first : stop + 1],
            plain=self.plain[first:stop],
            told={name: values[first:stop] for name, values in self.told.items()},
            starts=self.starts[first:stop],
            stops=self.stops[first:stop],
            framed=lambda row: self.framed(first + row),
        )


Item = Framed | Lost | Batch


def since(offset: int, items: Iterator[Item]) -> Iterator[Item]:
    """What begins at the offset or after it."""
    for item in items:
        if isinstance(item, Batch):
            first = int(np.searchsorted(item.bounds[:-1], offset))
            if first < len(item):
                yield item.between(first, len(item))
        elif item.offset >= offset:
            yield item


def from_values(values: dict[str, Any], num_replaced: int = 0) -> Framed:
    """The record that the values of a row make, its span still open."""
    text = values.get("text")
    told = isinstance(text, str) and text != ""
    empty = not told and "text" in values and (text is None or text == "")
    return Framed(
        0,
        0,
        record_type="row",
        record_id=told_string(values.get("id")),
        url=told_string(values.get("url")),
        date=told_string(values.get("date")),
        source=told_string(values.get("source")),
        licence=told_string(values.get("licence") or values.get("license")),
        text=text if told else None,
        num_replaced=num_replaced,
        drop="no_text" if empty else "",
        error="" if told or empty else "no_text_field",
    )


def told_string(value: Any) -> str:
    """A value of a field other than the text; "" where there is none."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


# ---------------------------------------------------------------------------------------------------------
# Documents


@dataclass(frozen=True)
class Rows:
    """A batch as documents: row r of the table and its id; where it is not plain, `batch.record(r)` counts."""

    batch: Batch
    plain: Bools
    ids: list[bytes]
    sizes: I64  # bytes of text
    table: pa.Table  # of schema DOCUMENTS

    def __len__(self) -> int:
        return len(self.plain)

    def run_end(self, row: int) -> int:
        """The first row from there on that is not plain."""
        odd = np.flatnonzero(~self.plain[row:])
        return row + int(odd[0]) if len(odd) else len(self.plain)


def rows_of(batch: Batch, crawl: str) -> Rows:
    """The documents of a batch."""
    if batch.plain.mean() < LEAST_PLAIN:
        return Rows(batch, np.zeros(len(batch), bool), [], np.zeros(len(batch), np.int64), DOCUMENTS.empty_table())
    ids = _ids(batch, crawl)
    text, sizes = _cleaned(batch)
    told = {name: _on_one_line(batch.told[name]) for name in ("url", "date", "source", "licence")}
    licences = pc.dictionary_encode(told["licence"])
    names = pa.array([licence_id(name) for name in licences.dictionary.to_pylist()], pa.string())
    nothing = pa.repeat("", len(batch))
    columns = {
        **dict.fromkeys(DOCUMENTS.names, nothing),
        **told,
        "id": pa.FixedSizeBinaryArray.from_buffers(ID, len(ids), [None, pa.py_buffer(b"".join(ids))]),
        "source": _sources(told["source"], told["url"]),
        "licence_id": names.take(licences.indices),
        "num_replaced": np.zeros(len(batch), np.int32),
        "offset": batch.bounds[:-1],
        "length": np.diff(batch.bounds),
        "num_bytes": sizes,
        "text": text,
    }
    return Rows(batch, batch.plain & (sizes > 0), ids, sizes, pa.table(columns, schema=DOCUMENTS))


def host(url: str) -> str:
    """The host that an address names, in lower case; "" where it names none."""
    found = _AUTHORITY.match(url)  # urlsplit refuses some URLs, and takes five times as long
    return found[1].lower() if found else ""


def on_one_line(value: str) -> str:
    """Valid UTF-8 without line ends or NUL bytes, as names and addresses have it."""
    if value.isascii() and value.isprintable():
        return value
    return value.encode("utf-8", "replace").decode().translate(_LINE_BREAKS)


# ---------------------------------------------------------------------------------------------------------
# Columns


def _ids(batch: Batch, crawl: str) -> list[bytes]:
    """`document_id` of what each row says and of the digest of its text as it stands."""
    spans = zip(batch.starts.tolist(), batch.stops.tolist(), strict=True)
    data, sha1 = batch.data.data, hashlib.sha1
    digests = b"".join([sha1(data[start:stop], usedforsecurity=False).digest() for start, stop in spans])
    offsets = pa.py_buffer(np.arange(0, 40 * len(batch) + 1, 40, dtype=np.int32))
    texts = pa.StringArray.from_buffers(len(batch), offsets, pa.py_buffer(digests.hex().encode()))
    told = [batch.told[name] for name in ("id", "url", "date")]
    return document_ids(crawl, _utf8_of(pc.binary_join_element_wise(*told, texts, "\x1f")))


def _utf8_of(array: pa.Array) -> Iterator[memoryview]:
    """The UTF-8 of each of an array's strings, none of which is null."""
    offsets = np.frombuffer(array.buffers()[1], np.int32)[array.offset : array.offset + len(array) + 1].tolist()
    data = memoryview(array.buffers()[2] or b"")
    return (data[start:stop] for start, stop in pairwise(offsets))


def _cleaned(batch: Batch) -> tuple[pa.Array, I64]:
    """The texts as documents have them, and their bytes; an empty one where the row is not plain."""
    stops = np.where(batch.plain, batch.stops, batch.starts)
    written, ends = cleaned_texts(batch.data, batch.starts, stops)
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    text = pa.StringArray.from_buffers(len(batch), pa.py_buffer(offsets), pa.py_buffer(written))
    return text, np.diff(offsets).astype(np.int64)


def _on_one_line(array: pa.Array) -> pa.Array:
    breaks = pc.match_substring_regex(array, r"[\x00\t\n\r]")
    if not breaks.true_count:
        return array
    return pa.array([on_one_line(value) for value in array.to_pylist()], pa.string())


def _sources(sources: pa.Array, urls: pa.Array) -> pa.Array:
    """Each row's own source, else its address's host."""
    if pc.all(pc.not_equal(sources, "")).as_py():
        return sources
    pairs = zip(sources.to_pylist(), urls.to_pylist(), strict=True)
    return pa.array([source or host(url) for source, url in pairs], pa.string())
