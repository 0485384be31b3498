"""Byte strings by number, through an open-addressing hash table: what `Vocabulary` and `ChunkWords` look up, compiled.

A table entry holds half of the hash and the number + 1; all strings lie in one arena, so that one is known by its bytes
and not by its hash. Arrays that are full are grown by the caller, who calls again.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


class Table(NamedTuple):
    """Strings by number: string n is `arena[ends[n - 1] : ends[n] - 1]`, the first from 0."""

    slots: npt.NDArray[np.uint64]
    hashes: npt.NDArray[np.uint64]
    ends: npt.NDArray[np.int64]  # of each string in the arena, with the space behind it
    chars: npt.NDArray[np.int32]
    arena: Bytes  # a space stands behind each string


# Where the pass stands, and how full the arrays are.
SPAN, COUNT, USED, WANTED, STATE = range(5)

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
def find_chunks(data, bounds, text, place, count, starts, ends, hashes, begins, offsets):  # type: ignore[no-untyped-def]
    """Write where chunks begin and end, their hashes, and where in their text they begin, until the arrays are full.

    Goes on at a place of a text, `count` chunks behind the first, and returns (text, place, chunks found here).
    """
    found = 0
    while text < len(bounds) - 1:
        begin, end = np.uint64(bounds[text]), np.uint64(bounds[text + 1])
        here = max(np.uint64(place), begin)
        while here < end:
            kind = SPACES[data[here]]
            if kind:
                width = kind if kind == _SPACE else space_width(data, np.int64(here), np.int64(end))
                if width:
                    here += np.uint64(width)
                    continue
            if found == len(starts):
                return text, np.int64(here), found
            starts[found], begins[found] = here, here - begin
            hashed = np.uint64(0)
            while here < end:
                byte = data[here]
                kind = SPACES[byte]
                if kind and (kind == _SPACE or space_width(data, np.int64(here), np.int64(end))):
                    break
                hashed = (hashed ^ np.uint64(byte)) * _FACTOR
                here += _ONE
            ends[found] = here
            hashes[found] = (hashed ^ (hashed >> _HALF)) * _FACTOR
            found += 1
        text += 1
        offsets[text] = count + found
    return text, np.int64(0), found


@numba.njit(cache=True)
def hash_of(data, start, end):  # type: ignore[no-untyped-def]
    """The hash of the string `data[start:end]`."""
    hashed = np.uint64(0)
    for place in range(np.uint64(start), np.uint64(end)):
        hashed = (hashed ^ np.uint64(data[place])) * _FACTOR
    return (hashed ^ (hashed >> _HALF)) * _FACTOR


@numba.njit(cache=True)
def hash_spans(data, starts, ends, hashes):  # type: ignore[no-untyped-def]
    for span in range(len(starts)):
        hashes[span] = hash_of(data, starts[span], ends[span])


@numba.njit(cache=True)
def number_spans(data, starts, ends, hashes, state, table, numbers):  # type: ignore[no-untyped-def]
    """Number the strings `data[starts[n] : ends[n]]` from where `state` stands; False when an array has to grow first.

    One function without calls: at each call in a loop, references to arrays would be counted.
    """
    slots, known_hashes, known_ends, known_chars, arena = table
    num_known, used = state[COUNT], np.uint64(state[USED])
    mask = np.uint64(len(slots) - 1)
    for span in range(state[SPAN], len(starts)):
        start, size, hashed = np.uint64(starts[span]), np.uint64(ends[span] - starts[span]), hashes[span]
        tag = hashed & _HIGH
        slot = (hashed >> _SLOT_BITS) & mask
        number = np.int64(-1)
        while slots[slot] != 0:
            entry = slots[slot]
            if entry & _HIGH == tag:
                number = np.int64(entry & _LOW) - 1
                first = np.uint64(known_ends[number - 1]) if number else np.uint64(0)
                same = np.uint64(known_ends[number]) - first == size + _ONE
                step = np.uint64(0)
                while same and step < size:
                    same = arena[first + step] == data[start + step]
                    step += _ONE
                if same:
                    break
                number = np.int64(-1)
            slot = (slot + _ONE) & mask
        if number < 0:
            if num_known == len(known_hashes) or used + size + _ONE > np.uint64(len(arena)):
                state[SPAN], state[COUNT], state[USED], state[WANTED] = span, num_known, used, size + _ONE
                return False
            number = num_known
            chars = 0
            for place in range(size):
                byte = data[start + place]
                arena[used + place] = byte
                chars += byte & 0xC0 != 0x80
            arena[used + size] = 0x20
            used += size + _ONE
            slots[slot] = tag | np.uint64(number + 1)
            known_hashes[number], known_ends[number], known_chars[number] = hashed, np.int64(used), chars
            num_known += 1
        numbers[span] = number
    state[SPAN], state[COUNT], state[USED], state[WANTED] = len(starts), num_known, used, 0
    return True


@numba.njit(cache=True)
def refill(table, count):  # type: ignore[no-untyped-def]
    """Put `count` strings into slots that are empty."""
    slots, hashes = table.slots, table.hashes
    mask = np.uint64(len(slots) - 1)
    for number in range(count):
        slot = (hashes[number] >> _SLOT_BITS) & mask
        while slots[slot] != 0:
            slot = (slot + _ONE) & mask
        slots[slot] = (hashes[number] & _HIGH) | np.uint64(number + 1)
