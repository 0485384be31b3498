"""Most chunks to words, compiled: `chunks.cut_chunk`'s answer, or none where it takes more than looking at marks.

None for what is known by heart, may be an address of an odd kind, ends in a unit, or is long: those are cut in Python.
The steps have the names that they have in `chunks`.
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
from pipelines.text.code_point_kinds import CARRIED, DIGIT, EDGE, KINDS, UNSPACED, WIDE
from pipelines.text.mark_widths import end_width, inner_width, start_width
from pipelines.text.special_chunks import MAX_SPECIAL_CHARS, SPECIAL
from pipelines.text.spellings import Spellings
from pipelines.text.words import ALPHA

MAX_CHARS = 200  # of a chunk that is cut here

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

_DOT, _DASH, _UNDERSCORE, _COLON, _AT = 0x2E, 0x2D, 0x5F, 0x3A, 0x40
_SLASH, _QUESTION, _HASH, _SMALL_A, _SMALL_Z = 0x2F, 0x3F, 0x23, 0x61, 0x7A


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
        codes[size], bits[size], places[size] = code, kinds[code], place
        size += 1
        place += width
    places[size] = end
    return size


@numba.njit(cache=True)
def _is_known(data, places, start, end, known):  # type: ignore[no-untyped-def]
    if not 0 < end - start <= MAX_SPECIAL_CHARS:
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
    while place < end and bits[place] & (ALPHA | UNSPACED) == ALPHA:
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
        width = start_width(codes, bits, start, end)
        if width < 0 or (width and _is_known(data, places, start + width, end, known)):
            return -1
        back = end_width(codes, bits, start + width, end)
        if not back and _may_end_in_unit(data, bits, places, end, known):
            return -1
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
    address = _is_address(codes, bits, start, end)
    if address < 0:
        return -1
    count = _write(bounds, count, start, end) if address else _cut_inside(codes, bits, start, end, bounds, count)
    for word in range(behind, len(bounds)):
        count = _write(bounds, count, bounds[word, 0], bounds[word, 1])
    return count


@numba.njit(cache=True)
def _may_end_in_unit(data, bits, places, end, known):  # type: ignore[no-untyped-def]
    """Whether what stands behind the last digit is known, as all units are."""
    first = end
    while first > 0 and end - first <= MAX_SPECIAL_CHARS and not bits[first - 1] & DIGIT:
        first -= 1
    return 0 < first < end and bits[first - 1] & DIGIT != 0 and _is_known(data, places, first, end, known)


@numba.njit(cache=True)
def _is_address(codes, bits, start, end):  # type: ignore[no-untyped-def]
    """1 for a host, with a path or without; 0 for what is no address; -1 where telling takes more."""
    dots, odd = 0, False
    for place in range(start, end):
        dots += codes[place] == _DOT
        odd |= codes[place] >= 0x80 or codes[place] in (_COLON, _AT)
    if not dots or odd:
        return -1 if dots else 0
    label, place, dots, letters = start, start, 0, False
    while place < end and (_is_alnum(bits, place) or codes[place] in (_DOT, _DASH, _UNDERSCORE)):
        letters |= not bits[place] & DIGIT and codes[place] != _DOT
        if codes[place] == _DOT:
            if not 0 < place - label <= 64 or not _is_alnum(bits, label) or not _is_alnum(bits, place - 1):
                return 0
            dots += 1
            label = place + 1
        place += 1
    if place < end and codes[place] not in (_SLASH, _QUESTION, _HASH):
        return 0
    if dots == 3 and not letters:
        return -1
    for last in range(label, place):
        if not _SMALL_A <= codes[last] <= _SMALL_Z:
            return 0
    return int(dots > 0 and 2 <= place - label <= 63)


@numba.njit(cache=True, inline="always")
def _is_alnum(bits, place):  # type: ignore[no-untyped-def]
    return bits[place] & (ALPHA | DIGIT) != 0


@numba.njit(cache=True)
def _cut_inside(codes, bits, start, end, bounds, count):  # type: ignore[no-untyped-def]
    first = place = start
    while place < end:
        if bits[place] & (UNSPACED | WIDE):
            width = 1
            while bits[place] & UNSPACED and place + width < end and bits[place + width] & CARRIED:
                width += 1
        else:
            width = inner_width(codes, bits, start, place, end)
        if width:
            count = _write(bounds, count, first, place)
            count = _write(bounds, count, place, place + width)
            first = place + width
        place += max(width, 1)
    return _write(bounds, count, first, end)
