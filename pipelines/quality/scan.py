"""Steps of the compiled passes over the UTF-8 bytes of texts: where lines break, what white space is, what came before.

What is white space, and where a row ends, is what `str.strip` and `str.splitlines` say, in all of Unicode.
"""

import numba
import numpy as np

from pipelines.text.chunk_table import space_width

NEWLINE = 0x0A
_SHIFT = np.uint64(32)


@numba.njit(cache=True)
def break_width(data, place, end):  # type: ignore[no-untyped-def]
    """Bytes of the line break at `place`, as `str.splitlines` has it; 0 for anything else."""
    byte = data[place]
    if byte > 0x1E:
        if byte == 0xC2:
            return 2 if place + 1 < end and data[place + 1] == 0x85 else 0
        if byte == 0xE2 and place + 2 < end and data[place + 1] == 0x80:
            return 3 if data[place + 2] == 0xA8 or data[place + 2] == 0xA9 else 0
        return 0
    if byte == 0x0D:
        return 2 if place + 1 < end and data[place + 1] == NEWLINE else 1
    return 1 if 0x0A <= byte <= 0x0C or byte >= 0x1C else 0


@numba.njit(cache=True)
def space_width_before(data, begin, place):  # type: ignore[no-untyped-def]
    """Bytes of the white space character that ends at `place`, none of them before `begin`; 0 for any other."""
    first = place - 1
    while first > begin and data[first] & 0xC0 == 0x80:
        first -= 1
    width = space_width(data, first, place)
    return width if width == place - first else 0


@numba.njit(cache=True)
def stripped(data, begin, end):  # type: ignore[no-untyped-def]
    """Where a text without white space at its ends begins and ends."""
    while begin < end:
        width = space_width(data, begin, end)
        if not width:
            break
        begin += width
    while begin < end:
        width = space_width_before(data, begin, end)
        if not width:
            break
        end -= width
    return begin, end


@numba.njit(cache=True)
def num_chars(data, begin, end):  # type: ignore[no-untyped-def]
    chars = 0
    for place in range(begin, end):
        chars += data[place] & 0xC0 != 0x80
    return chars


@numba.njit(cache=True)
def is_three(data, place, end, one, two, three):  # type: ignore[no-untyped-def]
    return (
        place >= 0 and place + 3 <= end and data[place] == one and data[place + 1] == two and data[place + 2] == three
    )


@numba.njit(cache=True)
def is_one_of(data, begin, end, marks):  # type: ignore[no-untyped-def]
    """Whether the last character before `end` is one of `marks`, by code point."""
    first = end - 1
    while first > begin and data[first] & 0xC0 == 0x80:
        first -= 1
    width = end - first
    code = np.int64(data[first])
    if width > 1:
        code &= 0xFF >> (width + 1)
    for step in range(first + 1, end):
        code = (code << 6) | np.int64(data[step] & 0x3F)
    return code < len(marks) and marks[code]


@numba.njit(cache=True)
def is_known(data, start, end, hashed, hashes, bounds, stamps, stamp):  # type: ignore[no-untyped-def]
    """Whether an element of the same bytes is in the table; else it is from now on."""
    mask = len(hashes) - 1
    hashed ^= hashed >> _SHIFT
    slot = np.int64(hashed & np.uint64(mask))
    while stamps[slot] == stamp:
        if hashes[slot] == hashed and bounds[slot, 1] - bounds[slot, 0] == end - start:
            first, step = bounds[slot, 0], 0
            while step < end - start and data[first + step] == data[start + step]:
                step += 1
            if step == end - start:
                return True
        slot = (slot + 1) & mask
    stamps[slot], hashes[slot], bounds[slot, 0], bounds[slot, 1] = stamp, hashed, start, end
    return False
