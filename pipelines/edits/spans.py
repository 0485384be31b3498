"""Edits: spans to cut or to replace, with a reason each; the text itself is never rewritten.

A document's edits are a list of (start, end, replacement, reason). Places are bytes of the UTF-8 text, as
Arrow stores it, so that a reader in any language cuts without decoding; spans are sorted, do not overlap
and begin and end between characters. `edited`, `texts_after` and `text_after` are the only readers.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.edits.characters import text_bytes

SPAN = pa.struct(
    [
        pa.field("start", pa.int32(), nullable=False),
        pa.field("end", pa.int32(), nullable=False),
        pa.field("replacement", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
    ]
)
EDITS = pa.list_(pa.field("item", SPAN, nullable=False))

Rows: TypeAlias = "pa.Array | pa.ChunkedArray"  # of type EDITS


class Span(NamedTuple):
    """One edit: `text[start:end]` in UTF-8 bytes becomes `replacement`."""

    start: int
    end: int
    replacement: str
    reason: str


# ---------------------------------------------------------------------------------------------------------
# Making them


def spans_array(documents: Iterable[Sequence[Span]]) -> pa.Array:
    """An array of type EDITS from the spans of each document."""
    offsets, spans = [0], list[Span]()
    for document in documents:
        spans += document
        offsets.append(len(spans))
    columns = list(zip(*spans, strict=True)) or [(), (), (), ()]
    items = pa.StructArray.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SPAN, strict=True)], fields=list(SPAN)
    )
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=EDITS)


def cuts_array(
    offsets: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    reasons: npt.NDArray[np.uint8],
    names: Sequence[str],
) -> pa.Array:
    """An array of type EDITS of spans without replacement.

    Those of document d are at `offsets[d] : offsets[d + 1]`, and `names[reasons[i]]` is the i-th one's reason.
    """
    count = len(starts)
    nothing = pa.StringArray.from_buffers(count, pa.py_buffer(np.zeros(count + 1, np.int32)), pa.py_buffer(b""))
    why = pa.DictionaryArray.from_arrays(pa.array(reasons), pa.array(names, pa.string())).cast(pa.string())
    columns = [pa.array(starts, pa.int32()), pa.array(ends, pa.int32()), nothing, why]
    items = pa.StructArray.from_arrays(columns, fields=list(SPAN))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=EDITS)


def no_edits(count: int) -> pa.Array:
    """The edits of `count` documents that stay as they are."""
    return spans_array([()] * count)


def reasons(edits: Rows) -> Counter[str]:
    """How many spans each reason has."""
    found = _items(edits).field("reason").value_counts()
    return Counter({row["values"]: row["counts"] for row in found.to_pylist()})


# ---------------------------------------------------------------------------------------------------------
# Reading them


def edited(texts: pa.Array | pa.ChunkedArray, edits: Rows) -> pa.Array:
    """The texts with their spans replaced, of the same Arrow type (string or large_string), in one pass.

    Raises ValueError where the rows are not as many, and for spans that are not in order, overlap, lie outside
    their text or cut a character.
    """
    if len(texts) != len(edits):
        raise ValueError(f"{len(texts)} texts, but edits for {len(edits)}")
    texts = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    items = _items(edits)
    if not len(items):
        return texts
    data, bounds = text_bytes(texts)
    first = np.concatenate([[0], np.cumsum(lengths(edits))])
    starts, ends = (np.array(items.field(name)) for name in ("start", "end"))
    put, put_bounds = text_bytes(items.field("replacement"))
    offsets = np.zeros(len(bounds), np.int64)
    row = _measure(data, bounds, first, starts, ends, put_bounds, offsets)
    if row >= 0:
        text_after(texts[row].as_py(), zip(*(part[first[row] : first[row + 1]].tolist() for part in (starts, ends)),
                                           [""] * int(first[row + 1] - first[row]), strict=True))  # fmt: skip
        raise AssertionError("a span that cannot be cut")  # text_after told which
    result = np.empty(int(offsets[-1]), np.uint8)
    _cut(data, bounds, first, starts, ends, put, put_bounds, offsets, result)
    large = pa.types.is_large_string(texts.type)
    if not large and offsets[-1] > np.iinfo(np.int32).max:
        raise ValueError(f"{offsets[-1]} bytes are left of the texts, more than a string column holds; cut the part")
    kind, width = (pa.LargeStringArray, np.int64) if large else (pa.StringArray, np.int32)
    return kind.from_buffers(len(texts), pa.py_buffer(offsets.astype(width)), pa.py_buffer(result))


def texts_after(texts: pa.Array | pa.ChunkedArray | Sequence[str], edits: Rows) -> list[str]:
    """`text_after` for each row; of a list, texts without edits are passed through."""
    if isinstance(texts, pa.Array | pa.ChunkedArray):
        return list(edited(texts, edits).to_pylist())
    if len(texts) != len(edits):
        raise ValueError(f"{len(texts)} texts, but edits for {len(edits)}")
    after = list(texts)
    rows = np.flatnonzero(lengths(edits)).tolist()
    found = edited(pa.array([texts[row] for row in rows], pa.large_string()), edits.take(pa.array(rows, pa.int64())))
    for row, text in zip(rows, found.to_pylist(), strict=True):
        after[row] = text
    return after


def text_after(text: str, spans: Iterable[tuple[Any, ...]]) -> str:
    """The text with its spans replaced; each is (start, end, replacement, ...). Raises ValueError as `edited`."""
    data, pieces, place = text.encode(), list[bytes](), 0
    for start, end, replacement, *_ in spans:
        if not place <= start <= end <= len(data):
            raise ValueError(f"span {start}:{end} is out of order in a text of {len(data)} bytes, after {place}")
        for bound in (start, end):
            if bound < len(data) and data[bound] & 0xC0 == 0x80:
                raise ValueError(f"span {start}:{end} cuts a character in two")
        pieces += [data[place:start], replacement.encode()]
        place = end
    return b"".join([*pieces, data[place:]]).decode()


# ---------------------------------------------------------------------------------------------------------
# Arrow's columns


def one_array(edits: Rows) -> pa.Array:
    """Its chunks as one."""
    return edits.combine_chunks() if isinstance(edits, pa.ChunkedArray) else edits


def _items(edits: Rows) -> pa.StructArray:
    """All spans, in a row."""
    return one_array(edits).flatten()


def lengths(edits: Rows) -> npt.NDArray[np.int64]:
    """How many spans each row has."""
    counts = one_array(edits).value_lengths().fill_null(0)
    return np.asarray(counts).astype(np.int64)


@numba.njit(cache=True)
def _measure(data, bounds, first, starts, ends, put_bounds, offsets):  # type: ignore[no-untyped-def]
    """Fill in where each text begins after its edits; the row of a span that cannot be cut, or -1."""
    for row in range(len(bounds) - 1):
        begin, size = bounds[row], bounds[row + 1] - bounds[row]
        place, left = 0, size
        for span in range(first[row], first[row + 1]):
            start, end = starts[span], ends[span]
            if not place <= start <= end <= size:
                return row
            if start < size and data[begin + start] & 0xC0 == 0x80:
                return row
            if end < size and data[begin + end] & 0xC0 == 0x80:
                return row
            left += put_bounds[span + 1] - put_bounds[span] - (end - start)
            place = end
        offsets[row + 1] = offsets[row] + left
    return -1


@numba.njit(cache=True)
def _cut(data, bounds, first, starts, ends, put, put_bounds, offsets, result):  # type: ignore[no-untyped-def]
    for row in range(len(bounds) - 1):
        place, to = bounds[row], offsets[row]
        for span in range(first[row], first[row + 1]):
            start = bounds[row] + starts[span]
            to = _copy(data, place, start, result, to)
            to = _copy(put, put_bounds[span], put_bounds[span + 1], result, to)
            place = bounds[row] + ends[span]
        _copy(data, place, bounds[row + 1], result, to)


@numba.njit(cache=True)
def _copy(source, place, end, result, to):  # type: ignore[no-untyped-def]
    for step in range(end - place):
        result[to + step] = source[place + step]
    return to + end - place
