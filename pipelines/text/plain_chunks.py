"""Most chunks to words, compiled: `chunks.cut_chunk`'s answer, or none where it takes more than looking at marks.

None for what is known by heart, may be an address, ends in a unit, or has a character of a script without spaces, for
which the two cutters differ: those are cut in Python. The steps have the names that they have in `chunks`.
"""

from functools import cache

import numba
import numpy as np
import numpy.typing as npt

from pipelines.text import code_point_kinds
from pipelines.text.characters import decoded
from pipelines.text.chunk_marks import UNITS
from pipelines.text.chunk_table import hash_of
from pipelines.text.chunks import FIRST_PAIRS
from pipelines.text.code_point_kinds import (
    DIGIT,
    EDGE,
    HOST,
    INNER,
    IS_LETTER,
    IS_LOWER,
    IS_UPPER,
    KINDS,
    MONEY,
    QUOTE,
    START,
    STOPPED,
    SYMBOL,
    UNSPACED,
)
from pipelines.text.special_chunks import MAX_SPECIAL_CHARS, SPECIAL
from pipelines.text.spellings import Spellings
from pipelines.text.words import ALPHA

MAX_CHARS = 100  # of a chunk that is cut here

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]


def cut_plain(chunks: Spellings, first: int) -> tuple[I64, I64, I32]:
    """(starts, ends, counts): the words of chunks from number `first` on, as stretches of the chunks' bytes.

    `counts` int32 [chunks] says how many words each has, at least one; -1 for a chunk that is to be cut in Python.
    """
    begin, end = chunks.begin(first), chunks.begin(len(chunks))
    code_point_kinds.learn(chunks.table.arena, begin, end)
    starts, ends = np.empty(end - begin, np.int64), np.empty(end - begin, np.int64)
    counts = np.empty(len(chunks) - first, np.int32)
    total = _cut_chunks(chunks.table.arena, chunks.table.ends, begin, first, KINDS, _known(), starts, ends, counts)
    return starts[:total], ends[:total], counts


@cache
def _known() -> U64:
    """Hashes of what is left to Python wherever a chunk has it: special chunks, the first of their parts, units."""
    known = [*SPECIAL, *map("".join, FIRST_PAIRS), *UNITS]
    slots = np.zeros(1 << (4 * len(known)).bit_length(), np.uint64)
    for text in known:
        data = np.frombuffer(text.encode(), np.uint8)
        hashed = hash_of(data, 0, len(data))
        slot = int(hashed) & (len(slots) - 1)
        while slots[slot]:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = hashed
    return slots


# ---------------------------------------------------------------------------------------------------------
# Compiled. A chunk is `codes`, `bits` (of code_point_kinds) and `places` (its characters' bytes); -1 is for Python.

_DOT, _DOTS, _PLUS, _COMMA, _DASH, _LONG_DASH = 0x2E, 0x2026, 0x2B, 0x2C, 0x2D, 0x2014
_STAR, _CARET, _DOLLAR, _DEGREE, _QUOTE, _CURLY_QUOTE = 0x2A, 0x5E, 0x24, 0xB0, 0x27, 0x2019
_SMALL_S, _S, _U, _C, _A, _Z = 0x73, 0x53, 0x55, 0x43, 0x41, 0x5A
_TEMPERATURES = np.frombuffer(b"FfCcKk", np.uint8)


@numba.njit(cache=True)
def _cut_chunks(arena, chunk_ends, begin, first, kinds, known, starts, ends, counts):  # type: ignore[no-untyped-def]
    codes, bits = np.empty(MAX_CHARS, np.int32), np.empty(MAX_CHARS, np.uint32)
    places, bounds = np.empty(MAX_CHARS + 1, np.int64), np.empty((2 * MAX_CHARS, 2), np.int64)
    total = 0
    for row in range(len(counts)):
        end = chunk_ends[first + row] - 1
        size = _read(arena, begin, end, kinds, codes, bits, places)
        count = _cut(arena, codes, bits, places, size, known, bounds) if size > 0 else -1
        for word in range(count):
            starts[total], ends[total] = places[bounds[word, 0]], places[bounds[word, 1]]
            total += 1
        counts[row] = count
        begin = end + 1
    return total


@numba.njit(cache=True)
def _read(data, begin, end, kinds, codes, bits, places):  # type: ignore[no-untyped-def]
    """Characters of the chunk; -1 for one that is none of ours."""
    size, place = 0, begin
    while place < end:
        if size == MAX_CHARS:
            return -1
        code, width = decoded(data, place)
        if kinds[code] & UNSPACED:
            return -1
        codes[size], bits[size], places[size] = code, kinds[code], place
        size += 1
        place += width
    places[size] = end
    return size


@numba.njit(cache=True)
def _is_known(data, places, start, end, known):  # type: ignore[no-untyped-def]
    if end - start > MAX_SPECIAL_CHARS:
        return False
    hashed, mask = hash_of(data, places[start], places[end]), np.uint64(len(known) - 1)
    slot = hashed & mask
    while known[slot] != 0 and known[slot] != hashed:
        slot = (slot + np.uint64(1)) & mask
    return known[slot] == hashed


@numba.njit(cache=True)
def _cut(data, codes, bits, places, size, known, bounds):  # type: ignore[no-untyped-def]
    """Words of the chunk, written to `bounds` as places of characters."""
    if _is_known(data, places, 0, size, known):
        return -1
    end = size - 1 if bits[size - 1] & EDGE else size
    place = 0
    while place < end and bits[place] & ALPHA:
        place += 1
    if 0 < end == place:
        if _is_known(data, places, 0, end, known):
            return -1
        count = _write(bounds, _write(bounds, 0, 0, end), end, size)
    else:
        count = _parted(data, codes, bits, places, size, known, bounds)
    for word in range(count - 1):
        if _is_known(data, places, bounds[word, 0], bounds[word + 1, 1], known):
            return -1
    return count


@numba.njit(cache=True)
def _write(bounds, count, start, end):  # type: ignore[no-untyped-def]
    if start == end:
        return count
    bounds[count, 0], bounds[count, 1] = start, end
    return count + 1


@numba.njit(cache=True)
def _parted(data, codes, bits, places, size, known, bounds):  # type: ignore[no-untyped-def]
    start, end, count, behind = 0, size, 0, len(bounds)
    while start < end:
        width = _start_width(codes, bits, start, end)
        if width < 0 or (width and _is_known(data, places, start + width, end, known)):
            return -1
        back = _end_width(data, codes, bits, places, start + width, end, known)
        if back < 0 or (back and _is_known(data, places, start, end - back, known)):
            return -1
        count = _write(bounds, count, start, start + width)
        if back:
            behind -= 1
            bounds[behind, 0], bounds[behind, 1] = end - back, end
        start, end = start + width, end - back
        if not width and not back:
            break
        if _is_known(data, places, start, end, known):
            return -1
    if _may_be_address(codes, bits, start, end):
        return -1
    count = _cut_inside(codes, bits, start, end, bounds, count)
    for word in range(behind, len(bounds)):
        count = _write(bounds, count, bounds[word, 0], bounds[word, 1])
    return count


@numba.njit(cache=True)
def _start_width(codes, bits, start, end):  # type: ignore[no-untyped-def]
    mark, after = codes[start], start + 1
    if bits[start] & START:
        return 1
    if mark == _PLUS:
        return int(after == end or not bits[after] & DIGIT)
    if mark == _DOT:
        width = _num_dots(codes, start, end)
        return width if width > 1 else 0
    if (mark == _U or mark == _C or mark == _A) and after < end and (codes[after] == _DOLLAR or codes[after] == _S):
        return 0 if codes[after] == _S and (after + 1 == end or codes[after + 1] != _DOLLAR) else -1
    return 0


@numba.njit(cache=True)
def _end_width(data, codes, bits, places, start, end, known):  # type: ignore[no-untyped-def]
    if start == end:
        return 0
    last = end - 1
    mark, previous = codes[last], codes[last - 1] if last > start else 0
    before = bits[last - 1] if last > start else np.uint32(0)
    if mark == _DOT or mark == _DOTS:
        return _dots_width(codes, bits, start, end, previous, before)
    if bits[last] & (EDGE | SYMBOL):
        return 1
    if (mark == _SMALL_S or mark == _S) and (previous == _QUOTE or previous == _CURLY_QUOTE):
        return 2
    if mark == _PLUS:
        return int(before & DIGIT != 0)
    if bits[last] & MONEY:
        return -1 if previous == _S or previous == _C or previous == _A else int(before & DIGIT != 0)
    if not bits[last] & DIGIT:
        first = last
        while first > 0 and last - first < MAX_SPECIAL_CHARS and not bits[first - 1] & DIGIT:
            first -= 1
        if first > 0 and bits[first - 1] & DIGIT and _is_known(data, places, first, end, known):
            return -1
    return 0


@numba.njit(cache=True)
def _dots_width(codes, bits, start, end, previous, before):  # type: ignore[no-untyped-def]
    if codes[end - 1] == _DOTS:
        return 2 if previous == _DOTS else 1
    first = end - 1
    while first > start and codes[first - 1] == _DOT:
        first -= 1
    if end - first > 1:
        return end - first
    if before & STOPPED or _is_small(before):
        return 1
    if end - 3 < start:
        return 0
    if _is_capital(before) and _is_capital(bits[end - 3]):
        return 1
    return int(codes[end - 3] == _DEGREE and np.any(previous == _TEMPERATURES))


@numba.njit(cache=True)
def _num_dots(codes, place, end):  # type: ignore[no-untyped-def]
    last = place
    while last < end and codes[last] == _DOT:
        last += 1
    return last - place


@numba.njit(cache=True, inline="always")
def _is_small(bits):  # type: ignore[no-untyped-def]
    return bits & IS_LETTER != 0 and bits & IS_UPPER == 0


@numba.njit(cache=True, inline="always")
def _is_capital(bits):  # type: ignore[no-untyped-def]
    return bits & IS_LETTER != 0 and bits & IS_LOWER == 0


@numba.njit(cache=True)
def _may_be_address(codes, bits, start, end):  # type: ignore[no-untyped-def]
    """Whether a full stop stands before two letters, as a host's last, or three before digits."""
    numbers = 0
    for place in range(start, end - 1):
        if codes[place] == _DOT:
            numbers += bits[place + 1] & DIGIT != 0
            if _ends_host(codes, bits, place + 1) and place + 2 < end and _ends_host(codes, bits, place + 2):
                return True
    return numbers >= 3


@numba.njit(cache=True)
def _ends_host(codes, bits, place):  # type: ignore[no-untyped-def]
    return bits[place] & HOST != 0 and bits[place] & DIGIT == 0 and not _A <= codes[place] <= _Z


@numba.njit(cache=True)
def _cut_inside(codes, bits, start, end, bounds, count):  # type: ignore[no-untyped-def]
    first = place = start
    while place < end:
        width = _inner_width(codes, bits, start, place, end) if bits[place] & (INNER | SYMBOL) else 0
        if codes[place] == _DOTS:
            width = 1
        if width:
            count = _write(bounds, count, first, place)
            count = _write(bounds, count, place, place + width)
            first = place + width
        place += max(width, 1)
    return _write(bounds, count, first, end)


@numba.njit(cache=True)
def _inner_width(codes, bits, start, place, end):  # type: ignore[no-untyped-def]
    mark = codes[place]
    if mark == _DOT and place + 1 < end and codes[place + 1] == _DOT:
        return _num_dots(codes, place, end)
    if bits[place] & SYMBOL:
        return 1
    if place == start or place + 1 == end:
        return 0
    before, after = bits[place - 1], bits[place + 1]
    if mark == _DOT:
        return int((before & QUOTE != 0 or _is_small(before)) and (after & QUOTE != 0 or _is_capital(after)))
    if mark == _COMMA:
        return int(before & IS_LETTER != 0 and after & IS_LETTER != 0)
    raised = mark == _PLUS or mark == _STAR or mark == _CARET
    if (raised or mark == _DASH) and before & DIGIT and (after & DIGIT or codes[place + 1] == _DASH):
        return 1
    if raised or not before & (DIGIT | IS_LETTER):
        return 0
    width, longest = 1, 3 if mark == _DASH else 2 if mark == _LONG_DASH else 1
    while width < longest and place + width < end and codes[place + width] == mark:
        width += 1
    return width if place + width < end and bits[place + width] & IS_LETTER else 0
