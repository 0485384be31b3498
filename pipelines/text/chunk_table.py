"""The compiled pass of `Vocabulary`: UTF-8 bytes to chunk numbers, through an open-addressing hash table.

A table entry holds half of the hash and the number + 1; the bytes of every chunk lie in one arena, so that a chunk is
known by its bytes and not by its hash. Arrays that are full are grown by the caller, who calls again.
"""

import numba
import numpy as np

# Where the pass stands, and how full the arrays are.
TEXT, PLACE, FOUND, NUM_CHUNKS, USED, WANTED, STATE = range(7)

_SPACE, _LEAD = 1, 2
SPACES = np.zeros(256, np.uint8)  # of a byte: white space, or the first byte of a character that may be
SPACES[[0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x1F, 0x20]] = _SPACE
SPACES[[0xC2, 0xE1, 0xE2, 0xE3]] = _LEAD

# Places are unsigned where every byte counts: a signed index is tested for being negative each time.
_ONE = np.uint64(1)
_HALF, _SLOT_BITS = np.uint64(32), np.uint64(20)
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_HIGH, _LOW = np.uint64(0xFFFFFFFF00000000), np.uint64(0xFFFFFFFF)  # of a table entry: bits of the hash, number + 1


@numba.njit(cache=True, inline="always")
def space_width(data, place, end):  # type: ignore[no-untyped-def]
    """Bytes of the white space character at `place`, as `str.isspace` has it; 0 for any other character."""
    kind = SPACES[data[place]]
    if kind != _LEAD:
        return np.int64(kind)
    first = data[place]
    if place + 1 >= end:
        return np.int64(0)
    second = data[place + 1]
    if first == 0xC2:
        return np.int64(2 if second == 0x85 or second == 0xA0 else 0)
    if place + 2 >= end:
        return np.int64(0)
    third = data[place + 2]
    if first == 0xE2:
        if second == 0x80:
            wide = third <= 0x8A or third == 0xA8 or third == 0xA9 or third == 0xAF
        else:
            wide = second == 0x81 and third == 0x9F
    elif first == 0xE1:
        wide = second == 0x9A and third == 0x80
    else:
        wide = second == 0x80 and third == 0x80
    return np.int64(3 if wide else 0)


@numba.njit(cache=True)
def number_chunks(data, bounds, state, table, hashes, ends, chars, arena, numbers, starts, offsets):  # type: ignore[no-untyped-def]
    """Number chunks from where `state` stands; False when an array is full and has to grow first."""
    place, found = np.uint64(state[PLACE]), state[FOUND]
    num_chunks, used = state[NUM_CHUNKS], np.uint64(state[USED])
    mask = np.uint64(len(table) - 1)
    for text in range(state[TEXT], len(bounds) - 1):
        begin, end = np.uint64(bounds[text]), np.uint64(bounds[text + 1])
        place = max(place, begin)
        while place < end:
            kind = SPACES[data[place]]
            if kind:
                width = kind if kind == _SPACE else space_width(data, np.int64(place), np.int64(end))
                if width:
                    place += np.uint64(width)
                    continue
            start = place
            hashed = np.uint64(0)
            while place < end:
                byte = data[place]
                kind = SPACES[byte]
                if kind and (kind == _SPACE or space_width(data, np.int64(place), np.int64(end))):
                    break
                hashed = (hashed ^ np.uint64(byte)) * _FACTOR
                place += _ONE
            hashed ^= hashed >> _HALF
            hashed *= _FACTOR
            size = place - start
            tag = hashed & _HIGH
            slot = (hashed >> _SLOT_BITS) & mask
            number = np.int64(-1)
            while table[slot] != 0:
                entry = table[slot]
                if entry & _HIGH == tag:
                    number = np.int64(entry & _LOW) - 1
                    first = np.uint64(ends[number - 1]) if number else np.uint64(0)
                    same = np.uint64(ends[number]) - first == size + _ONE
                    step = np.uint64(0)
                    while same and step < size:
                        same = arena[first + step] == data[start + step]
                        step += _ONE
                    if same:
                        break
                    number = np.int64(-1)
                slot = (slot + _ONE) & mask
            full = number < 0 and (num_chunks == len(hashes) or used + size + _ONE > np.uint64(len(arena)))
            if full or found == len(numbers):
                state[TEXT], state[PLACE], state[FOUND] = text, np.int64(start), found
                state[NUM_CHUNKS], state[USED], state[WANTED] = num_chunks, np.int64(used), np.int64(size) + 1
                return False
            if number < 0:
                number = num_chunks
                count = 0
                for letter in range(size):
                    byte = data[start + letter]
                    arena[used + letter] = byte
                    count += byte & 0xC0 != 0x80
                arena[used + size] = 0x20  # so that many chunks are decoded and split at once
                used += size + _ONE
                table[slot] = tag | np.uint64(number + 1)
                hashes[number], ends[number], chars[number] = hashed, np.int64(used), count
                num_chunks += 1
            numbers[found], starts[found] = number, np.int64(start - begin)
            found += 1
        offsets[text + 1] = found
    state[TEXT], state[PLACE], state[FOUND] = len(bounds) - 1, np.int64(place), found
    state[NUM_CHUNKS], state[USED], state[WANTED] = num_chunks, np.int64(used), 0
    return True


@numba.njit(cache=True)
def refill(table, hashes, count):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table) - 1)
    for number in range(count):
        slot = (hashes[number] >> _SLOT_BITS) & mask
        while table[slot] != 0:
            slot = (slot + _ONE) & mask
        table[slot] = (hashes[number] & _HIGH) | np.uint64(number + 1)
