"""Lines, paragraphs and characters of texts: one compiled pass over the UTF-8 bytes of an Arrow array.

Lines are compared byte by byte behind a hash, so that counts are exact. What is white space, and where a row ends, is
what `str.strip` and `str.splitlines` say, in all of Unicode.
"""

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.quality.scan import NEWLINE, break_width, is_known, is_one_of, is_three, num_chars, stripped
from pipelines.text.spellings import I64, Bytes
from pipelines.text.vocabulary import utf8
from pipelines.text.words import TERMINAL_MARKS

SHORT_LINE_CHARS = 30  # FineWeb's; a longer line is none of its short lines

_RAW = (
    "num_chars", "num_hashes", "num_ellipses", "num_paragraphs", "num_dup_paragraphs", "num_dup_paragraph_chars",
    "num_lines", "num_dup_lines", "num_dup_line_chars", "third_longest_line", "num_rows", "num_bullet_rows",
    "num_ellipsis_rows",
)  # fmt: skip
_EDITED = (
    "num_chars", "num_newlines", "lorem_ipsum", "curly_bracket", "num_lines", "num_line_chars", "num_ended_lines",
    "num_short_lines", "num_dup_line_chars",
)  # fmt: skip

Counts = dict[str, I64]

_MARKS = np.zeros(max(map(ord, TERMINAL_MARKS)) + 1, np.bool_)
_MARKS[[ord(mark) for mark in TERMINAL_MARKS]] = True


def raw_counts(texts: pa.Array | pa.ChunkedArray) -> Counts:
    """What Gopher's and mC4's rules count in a text, an int64 [texts] each.

    Paragraphs are runs between blank lines of the stripped text; lines are runs between newlines, not stripped, an
    empty first or last one among them; rows are those of `str.splitlines`. An element is duplicate when an equal one
    comes before it. `third_longest_line` is in characters, 0 for fewer than three lines.
    """
    data, offsets = utf8(texts)
    found = np.zeros((len(offsets) - 1, len(_RAW)), np.int64)
    _count_raw(data, offsets, *_table(data, offsets), found)
    return dict(zip(_RAW, np.ascontiguousarray(found.T), strict=True))


def edited_counts(texts: pa.Array | pa.ChunkedArray) -> Counts:
    """What C4's and FineWeb's rules count in a text, an int64 [texts] each; lines are rows, stripped and not empty.

    FineWeb's rules see stripped lines between newlines, since C4's edits, which strip them and part them so, come first
    in its pipeline. `num_newlines` are breaks of any kind, `num_line_chars` those of the lines, `num_chars` all.
    """
    data, offsets = utf8(texts)
    found = np.zeros((len(offsets) - 1, len(_EDITED)), np.int64)
    _count_edited(data, offsets, *_table(data, offsets), _MARKS, found)
    return dict(zip(_EDITED, np.ascontiguousarray(found.T), strict=True))


def _table(data: Bytes, offsets: I64) -> tuple[npt.NDArray[np.uint64], I64, I64]:
    """A hash table with room for the lines of any one text."""
    size = 1 << int(2 * (_most_breaks(data, offsets) + 1)).bit_length()
    return np.empty(size, np.uint64), np.empty((size, 2), np.int64), np.zeros(size, np.int64)


# ---------------------------------------------------------------------------------------------------------
# Compiled

_DOT, _HASH, _BRACKET = 0x2E, 0x23, 0x7B
_LOREM = np.frombuffer(b"lorem ipsum", np.uint8)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


@numba.njit(cache=True)
def _most_breaks(data, offsets):  # type: ignore[no-untyped-def]
    """The most lines that any text may have; what only looks like a break counts, too."""
    most = 0
    for text in range(len(offsets) - 1):
        count = 0
        for place in range(offsets[text], offsets[text + 1]):
            byte = data[place]
            count += byte <= 0x1E or byte == 0x85 or byte == 0xA8 or byte == 0xA9
        most = max(most, count)
    return most


@numba.njit(cache=True)
def _count_raw(data, offsets, hashes, bounds, stamps, found):  # type: ignore[no-untyped-def]
    stamp = 0
    for text in range(len(offsets) - 1):
        begin, end = offsets[text], offsets[text + 1]
        row = found[text]
        row[0], row[1], row[2] = _characters(data, begin, end)
        start, stop = stripped(data, begin, end)
        stamp += 1
        row[3], row[4], row[5], _ = _split(data, start, stop, 2, hashes, bounds, stamps, stamp)
        stamp += 1
        row[6], row[7], row[8], row[9] = _split(data, begin, end, 1, hashes, bounds, stamps, stamp)
        row[10], row[11], row[12] = _rows(data, begin, end)


@numba.njit(cache=True)
def _characters(data, begin, end):  # type: ignore[no-untyped-def]
    """(characters, hashes, ellipses) of a text."""
    chars, hashes, ellipses, dots = 0, 0, 0, 0
    for place in range(begin, end):
        byte = data[place]
        chars += byte & 0xC0 != 0x80
        hashes += byte == _HASH
        if byte == _DOT:
            dots += 1
            if dots == 3:
                ellipses += 1
                dots = 0
        else:
            dots = 0
            ellipses += byte == 0xE2 and data[place + 1] == 0x80 and data[place + 2] == 0xA6
    return chars, hashes, ellipses


@numba.njit(cache=True)
def _split(data, begin, end, width, hashes, bounds, stamps, stamp):  # type: ignore[no-untyped-def]
    """Elements between runs of at least `width` newlines: (all, duplicates, their characters, the third longest)."""
    count, dups, dup_chars = 0, 0, 0
    longest, second, third = 0, 0, 0
    start, place, chars, hashed = begin, begin, 0, np.uint64(0)
    while True:
        run = place
        while run < end and data[run] == NEWLINE:
            run += 1
        if place == end or run - place >= width:
            count += 1
            if is_known(data, start, place, hashed, hashes, bounds, stamps, stamp):
                dups += 1
                dup_chars += chars
            if chars > longest:
                longest, second, third = chars, longest, second
            elif chars > second:
                second, third = chars, second
            elif chars > third:
                third = chars
            if place == end:
                return count, dups, dup_chars, third
            start, place, chars, hashed = run, run, 0, np.uint64(0)
        else:
            byte = data[place]
            chars += byte & 0xC0 != 0x80
            hashed = (hashed ^ np.uint64(byte)) * _FACTOR
            place += 1


@numba.njit(cache=True)
def _rows(data, begin, end):  # type: ignore[no-untyped-def]
    """(rows, those that begin with a bullet, those that end in an ellipsis), white space at their ends aside."""
    rows, bullets, ellipses = 0, 0, 0
    start = place = begin
    while start < end:
        width = 0
        while place < end:
            byte = data[place]
            if byte <= 0x1E or byte == 0xC2 or byte == 0xE2:
                width = break_width(data, place, end)
                if width:
                    break
            place += 1
        rows += 1
        first, last = stripped(data, start, place)
        if first < last:
            bullets += data[first] == 0x2D or is_three(data, first, last, 0xE2, 0x80, 0xA2)
            tail = last - 3
            if tail >= first:
                ellipses += is_three(data, tail, last, _DOT, _DOT, _DOT)
                ellipses += is_three(data, tail, last, 0xE2, 0x80, 0xA6)
        place += width
        start = place
    return rows, bullets, ellipses


@numba.njit(cache=True)
def _count_edited(data, offsets, hashes, bounds, stamps, marks, found):  # type: ignore[no-untyped-def]
    for text in range(len(offsets) - 1):
        end = offsets[text + 1]
        row = found[text]
        start = place = offsets[text]
        while start < end:
            width = 0
            while place < end:
                byte = data[place]
                if byte <= 0x1E or byte == 0xC2 or byte == 0xE2:
                    width = break_width(data, place, end)
                    if width:
                        break
                row[3] |= byte == _BRACKET
                if byte | 0x20 == 0x6C and not row[2]:
                    row[2] = _is_lorem(data, place, end)
                place += 1
            row[1] += width > 0
            first, last = stripped(data, start, place)
            row[0] += num_chars(data, start, place + width)
            place += width
            start = place
            if first == last:
                continue
            chars, hashed = 0, np.uint64(0)
            for step in range(first, last):
                byte = data[step]
                chars += byte & 0xC0 != 0x80
                hashed = (hashed ^ np.uint64(byte)) * _FACTOR
            row[4] += 1
            row[5] += chars
            row[6] += is_one_of(data, first, last, marks)
            row[7] += chars <= SHORT_LINE_CHARS
            if is_known(data, first, last, hashed, hashes, bounds, stamps, text + 1):
                row[8] += chars


@numba.njit(cache=True)
def _is_lorem(data, place, end):  # type: ignore[no-untyped-def]
    if place + len(_LOREM) > end:
        return False
    for step in range(len(_LOREM)):
        byte = data[place + step]
        if byte != _LOREM[step] and (byte < 0x41 or byte | 0x20 != _LOREM[step]):
            return False
    return True
