"""JSON lines in one compiled pass: where the few fields of a row stand, for rows that are as nearly all rows are.

A row is plain when its line is one JSON object in valid UTF-8 whose fields, where it has them, are strings without
lone surrogates, null, or (all but the text and the licences) integers below 10^18. Everything else, right or wrong, is
left to the reader that takes line after line: what is plain here means there what is read here.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.reading.json_strings import BLOCK_BYTES, string

FIELDS = ("id", "url", "date", "source", "licence", "license", "text")
MAX_DEPTH = 60  # of arrays and objects in a value that is passed by
MAX_DIGITS = 18
MAX_NUMBER_BYTES = 300

Bytes = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]
I64 = npt.NDArray[np.int64]

_NAMES = np.array([int.from_bytes(name.encode()) for name in FIELDS], np.uint64)
_LICENCE, _LICENSE, _TEXT = (FIELDS.index(name) for name in ("licence", "license", "text"))
_MAX_NAME_BYTES = 8


class Scanned(NamedTuple):
    """Lines of a block: line i is `block[ends[i - 1] : ends[i]]`, its line end with it."""

    ends: I64
    plain: Bools
    values: Bytes  # UTF-8 of all values, escapes undone
    starts: I64  # [fields, lines]: of each value in `values`; an empty one where there is none
    stops: I64

    def strings(self, field: int) -> pa.Array:
        """A field's values."""
        starts, stops = self.starts[field], self.stops[field]
        offsets = np.concatenate([[0], np.cumsum(stops - starts)]).astype(np.int32)
        data = np.empty(offsets[-1], np.uint8)
        _gather(self.values, starts, stops, data)
        return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(data))


def scan(block: bytes, limit: int) -> Scanned:
    """The lines of a block that begins and ends with whole lines; one over `limit` bytes is not plain."""
    num_lines = block.count(b"\n") + (not block.endswith(b"\n"))
    ends, plain = np.empty(num_lines, np.int64), np.zeros(num_lines, np.bool_)
    starts, stops = np.zeros((2, len(FIELDS), num_lines), np.int64)
    values = np.empty(len(block) + BLOCK_BYTES, np.uint8)
    _scan(np.frombuffer(block, np.uint8), limit, values, ends, plain, starts, stops)
    return Scanned(ends, plain, values, starts, stops)


# ---------------------------------------------------------------------------------------------------------
# Compiled. Functions return places, -1 where the line is not plain.


@numba.njit(cache=True)
def _scan(data, limit, values, ends, plain, starts, stops):  # type: ignore[no-untyped-def]
    begin, written = np.int64(0), np.int64(0)  # a literal 0 would compile all of this a second time
    for line in range(len(ends)):
        at, filled = _line(data, begin, values, written, starts, stops, line)
        if at >= 0:
            has_text = stops[_TEXT, line] > starts[_TEXT, line]
            plain[line] = has_text and at - begin <= limit
        if plain[line]:
            written = filled
        else:
            starts[:, line] = 0
            stops[:, line] = 0
            at = begin
            while at < len(data) and data[at] != 10:
                at += 1
        begin = ends[line] = min(at + 1, len(data))


@numba.njit(cache=True)
def _gather(values, starts, stops, data):  # type: ignore[no-untyped-def]
    written = 0
    for line in range(len(starts)):
        for place in range(starts[line], stops[line]):
            data[written] = values[place]
            written += 1


@numba.njit(cache=True)
def _line(data, at, values, written, starts, stops, line):  # type: ignore[no-untyped-def]
    """(the line's end, what is written by then); -1 where it is no plain one."""
    at = _past_blanks(data, at)
    if at >= len(data) or data[at] != 123:  # {
        return -1, written
    at = _past_blanks(data, at + 1)
    if at < len(data) and data[at] == 125:  # an empty one has no text
        return -1, written
    while True:
        at, stop = _key(data, at, values, written)
        if at < 0:
            return -1, written
        field = _field(values, written, stop)
        at = _past_blanks(data, at)
        if field < 0:
            at = _past_value(data, at, values, written)
        else:
            at, stop = _wanted(data, at, values, written, field)
            starts[field, line], stops[field, line] = written, stop
            written = stop
        if at < 0:
            return -1, written
        at = _past_blanks(data, at)
        if at >= len(data):
            return -1, written
        if data[at] == 125:
            at = _past_blanks(data, at + 1)
            return (at if at == len(data) or data[at] == 10 else -1), written
        if data[at] != 44:
            return -1, written
        at = _past_blanks(data, at + 1)


@numba.njit(cache=True)
def _past_blanks(data, at):  # type: ignore[no-untyped-def]
    while at < len(data) and (data[at] == 32 or data[at] == 9 or data[at] == 13):
        at += 1
    return at


@numba.njit(cache=True)
def _key(data, at, values, written):  # type: ignore[no-untyped-def]
    """(the place after the colon, where the key's name ends that was written)."""
    if at >= len(data) or data[at] != 34:
        return -1, written
    at, stop = string(data, at + 1, values, written)
    if at < 0:
        return -1, written
    at = _past_blanks(data, at)
    return (at + 1 if at < len(data) and data[at] == 58 else -1), stop


@numba.njit(cache=True)
def _field(values, start, stop):  # type: ignore[no-untyped-def]
    if stop - start > _MAX_NAME_BYTES:
        return -1
    name = np.uint64(0)
    for at in range(start, stop):
        name = name << np.uint64(8) | np.uint64(values[at])
    for field in range(len(_NAMES)):
        if _NAMES[field] == name:
            return field
    return -1


@numba.njit(cache=True)
def _wanted(data, at, values, written, field):  # type: ignore[no-untyped-def]
    """(the place after a field's value, where what was written of it ends)."""
    if at >= len(data):
        return -1, written
    if data[at] == 34:
        return string(data, at + 1, values, written)
    after = _scalar(data, at)
    if after < 0 or data[at] == 110:  # null
        return after, written
    negative = data[at] == 45
    digits = after - at - negative
    is_number = negative or 48 <= data[at] <= 57
    if not is_number or field in (_TEXT, _LICENCE, _LICENSE) or digits > MAX_DIGITS:
        return -1, written
    if negative and data[at + 1] == 48:
        return -1, written
    for place in range(at + negative, after):
        if not 48 <= data[place] <= 57:
            return -1, written
    values[written : written + after - at] = data[at:after]
    return after, written + after - at


@numba.njit(cache=True)
def _past_value(data, at, values, written):  # type: ignore[no-untyped-def]
    """The place after any value; `values` from `written` on is scratch."""
    objects, depth = np.uint64(0), 0  # a bit for each bracket that is open, the last one's lowest
    while True:
        if at >= len(data):
            return -1
        byte = data[at]
        if byte == 123 or byte == 91:
            if depth == MAX_DEPTH:
                return -1
            objects, depth = objects << np.uint64(1) | np.uint64(byte == 123), depth + 1
            at = _past_blanks(data, at + 1)
            if at >= len(data) or data[at] != byte + 2:  # it is not empty: [ ] and { } lie two apart
                if byte == 123:
                    at, _ = _key(data, at, values, written)
                    if at < 0:
                        return -1
                    at = _past_blanks(data, at)
                continue
        elif byte == 34:
            at, _ = string(data, at + 1, values, written)
        else:
            at = _scalar(data, at)
        if at < 0:
            return -1
        at, objects, depth = _past_end(data, at, values, written, objects, depth)
        if at < 0 or depth == 0:
            return at


@numba.njit(cache=True)
def _past_end(data, at, values, written, objects, depth):  # type: ignore[no-untyped-def]
    """After a value: past the brackets that close, to the next value of the one that does not."""
    while depth:
        within = objects & np.uint64(1)
        at = _past_blanks(data, at)
        if at >= len(data):
            return -1, objects, depth
        if data[at] == 44:
            at = _past_blanks(data, at + 1)
            if within:
                at, _ = _key(data, at, values, written)
                if at >= 0:
                    at = _past_blanks(data, at)
            return at, objects, depth
        if data[at] != (125 if within else 93):
            return -1, objects, depth
        at, objects, depth = at + 1, objects >> np.uint64(1), depth - 1
    return at, objects, depth


@numba.njit(cache=True)
def _scalar(data, at):  # type: ignore[no-untyped-def]
    """The place after true, false, null or a number."""
    if data[at] == 116:
        return _word(data, at, b"true")
    if data[at] == 102:
        return _word(data, at, b"false")
    if data[at] == 110:
        return _word(data, at, b"null")
    begin = at
    at += data[at] == 45
    start = at
    at = _past_digits(data, at)
    if at == start or (data[start] == 48 and at > start + 1):
        return -1
    if at < len(data) and data[at] == 46:
        start = at + 1
        at = _past_digits(data, start)
        if at == start:
            return -1
    if at < len(data) and data[at] | 32 == 101:
        at += 1
        if at < len(data) and (data[at] == 43 or data[at] == 45):
            at += 1
        start = at
        at = _past_digits(data, at)
        if at == start:
            return -1
    return at if at - begin <= MAX_NUMBER_BYTES else -1


@numba.njit(cache=True)
def _word(data, at, word):  # type: ignore[no-untyped-def]
    if at + len(word) > len(data):
        return -1
    for place in range(len(word)):
        if data[at + place] != word[place]:
            return -1
    return at + len(word)


@numba.njit(cache=True)
def _past_digits(data, at):  # type: ignore[no-untyped-def]
    while at < len(data) and 48 <= data[at] <= 57:
        at += 1
    return at
