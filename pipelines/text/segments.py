"""Lines and paragraphs of many texts as stretches of their UTF-8 bytes, and what rules ask of them.

Nothing is copied: a segment is a start and an end in the data of the Arrow array. Segments are compared byte by byte
behind a hash.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numba
import numpy as np
import numpy.typing as npt

from pipelines.text.characters import Bytes, marks, num_chars
from pipelines.text.chunk_table import space_width

I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Segments:
    """Stretches of bytes, text by text: those of text t are at `offsets[t] : offsets[t + 1]`."""

    data: Bytes
    starts: I64
    ends: I64
    offsets: I64

    @classmethod
    def split(cls, data: Bytes, bounds: I64, newlines: int) -> Self:
        """What `str.split` makes of each text at one newline, or at each pair of two; `bounds` as of `utf8`."""
        offsets = np.zeros(len(bounds), np.int64)
        total = _count_segments(data, bounds, newlines, offsets)
        starts, ends = np.empty(total, np.int64), np.empty(total, np.int64)
        _fill_segments(data, bounds, newlines, starts, ends)
        return cls(data, starts, ends, offsets)

    def stripped(self) -> Self:
        """Each without the white space at its ends, as `str.strip` has it."""
        starts, ends = np.empty_like(self.starts), np.empty_like(self.ends)
        _strip(self.data, self.starts, self.ends, starts, ends)
        return type(self)(self.data, starts, ends, self.offsets)

    def where(self, kept: Flags) -> Self:
        """Those of the flags only."""
        running = np.concatenate([np.zeros(1, np.int64), np.cumsum(kept)])
        return type(self)(self.data, self.starts[kept], self.ends[kept], running[self.offsets])

    @cached_property
    def filled(self) -> Flags:
        """Whether there is a byte in it."""
        return np.greater(self.ends, self.starts)

    @cached_property
    def counts(self) -> I64:
        """Segments of each text."""
        return np.diff(self.offsets)

    @cached_property
    def chars(self) -> I64:
        """Characters of each segment."""
        return np.asarray(num_chars(self.data, self.starts, self.ends))

    @cached_property
    def firsts(self) -> I64:
        """For each segment, the place of the first one of its text that is equal to it: its own, if it is that."""
        firsts = np.empty(len(self.starts), np.int64)
        longest = int(self.counts.max(initial=0))
        size = 1 << max(4, (2 * longest - 1).bit_length())
        _find_firsts(self.data, self.starts, self.ends, self.offsets, firsts, np.zeros(size, np.int64))
        return firsts

    @cached_property
    def repeated(self) -> Flags:
        """Whether an earlier segment of its text is equal to it."""
        return np.asarray(self.firsts != np.arange(len(self.firsts)))

    @cached_property
    def recurring(self) -> Flags:
        """Whether any other segment of its text is equal to it."""
        counts: I64 = np.bincount(self.firsts, minlength=len(self.firsts))
        return np.asarray(counts[self.firsts] > 1)

    def sums(self, values: npt.NDArray[np.generic]) -> I64:
        """The sum over the segments of each text."""
        running = np.concatenate([np.zeros(1, np.int64), np.cumsum(values, dtype=np.int64)])
        return np.asarray(running[self.offsets[1:]] - running[self.offsets[:-1]])

    def share(self, flags: Flags) -> npt.NDArray[np.float64]:
        """Of the segments of each text; 0 where it has none."""
        return ratio(self.sums(flags), self.counts)

    def starting(self, words: tuple[str, ...]) -> Flags:
        """Whether it starts with one of the words, which are in small letters; ASCII capitals of the text match too."""
        return np.asarray(_at_edge(self.data, self.starts, self.ends, *marks(words), True))

    def ending(self, words: tuple[str, ...]) -> Flags:
        """Whether it ends with one of them; case as for `starting`."""
        return np.asarray(_at_edge(self.data, self.starts, self.ends, *marks(words), False))

    def holding(self, words: tuple[str, ...]) -> Flags:
        """Whether one of the words, of two bytes or more, is in it; case as for `starting`."""
        data, offsets = marks(words)
        pairs = np.zeros(1 << 16, np.bool_)
        for first in offsets[:-1]:
            pairs[int(data[first]) << 8 | int(data[first + 1])] = True
        return np.asarray(_holding(self.data, self.starts, self.ends, data, offsets, pairs))


def ratio(above: I64, below: I64, none: float = 0.0) -> npt.NDArray[np.float64]:
    """Their quotient; `none` where there is nothing below."""
    return np.asarray(np.divide(above, below, out=np.full(len(below), none), where=below > 0))


# ---------------------------------------------------------------------------------------------------------
# Compiled


@numba.njit(cache=True)
def _count_segments(data, bounds, newlines, offsets):  # type: ignore[no-untyped-def]
    total = 0
    for text in range(len(bounds) - 1):
        total += 1
        run = 0
        for place in range(bounds[text], bounds[text + 1]):
            run = run + 1 if data[place] == 10 else 0
            if run == newlines:
                total += 1
                run = 0
        offsets[text + 1] = total
    return total


@numba.njit(cache=True)
def _fill_segments(data, bounds, newlines, starts, ends):  # type: ignore[no-untyped-def]
    row = 0
    for text in range(len(bounds) - 1):
        starts[row] = bounds[text]
        run = 0
        for place in range(bounds[text], bounds[text + 1]):
            run = run + 1 if data[place] == 10 else 0
            if run == newlines:
                ends[row] = place + 1 - newlines
                row += 1
                starts[row] = place + 1
                run = 0
        ends[row] = bounds[text + 1]
        row += 1


@numba.njit(cache=True)
def _strip(data, starts, ends, new_starts, new_ends):  # type: ignore[no-untyped-def]
    for row in range(len(starts)):
        start, end = starts[row], ends[row]
        while start < end:
            width = space_width(data, start, end)
            if width == 0:
                break
            start += width
        while end > start:
            last = end - 1
            while last > start and data[last] & 0xC0 == 0x80:
                last -= 1
            if space_width(data, last, end) == 0:
                break
            end = last
        new_starts[row], new_ends[row] = start, end


@numba.njit(cache=True)
def _find_firsts(data, starts, ends, offsets, firsts, table):  # type: ignore[no-untyped-def]
    hashes = np.empty(len(starts), np.uint64)
    for text in range(len(offsets) - 1):
        begin, end = offsets[text], offsets[text + 1]
        mask = 16
        while mask < 2 * (end - begin):
            mask *= 2
        mask -= 1
        table[: mask + 1] = 0
        for row in range(begin, end):
            size = ends[row] - starts[row]
            mixed = np.uint64(size)
            for place in range(starts[row], ends[row]):
                mixed = (mixed ^ np.uint64(data[place])) * np.uint64(0x9E3779B97F4A7C15)
                mixed ^= mixed >> np.uint64(32)
            hashes[row] = mixed
            slot = np.int64(mixed & np.uint64(mask))
            firsts[row] = row
            while table[slot] != 0:
                other = begin + table[slot] - 1
                if hashes[other] == mixed and ends[other] - starts[other] == size:
                    step = 0
                    while step < size and data[starts[other] + step] == data[starts[row] + step]:
                        step += 1
                    if step == size:
                        firsts[row] = other
                        break
                slot = (slot + 1) & mask
            if firsts[row] == row:
                table[slot] = row - begin + 1


@numba.njit(cache=True)
def _is_at(data, place, words, first, last):  # type: ignore[no-untyped-def]
    """Whether the word stands there, its letters in either case in the data."""
    for step in range(last - first):
        byte, wanted = data[place + step], words[first + step]
        if byte != wanted and not (65 <= byte <= 90 and byte + 32 == wanted):
            return False
    return True


@numba.njit(cache=True)
def _at_edge(data, starts, ends, words, word_offsets, at_start):  # type: ignore[no-untyped-def]
    possible = np.zeros(256, np.bool_)  # bytes at that edge of a word, letters in either case
    for word in range(len(word_offsets) - 1):
        byte = words[word_offsets[word]] if at_start else words[word_offsets[word + 1] - 1]
        possible[byte] = True
        possible[byte - 32 if 97 <= byte <= 122 else byte] = True
    found = np.zeros(len(starts), np.bool_)
    for row in range(len(starts)):
        if starts[row] == ends[row] or not possible[data[starts[row] if at_start else ends[row] - 1]]:
            continue
        for word in range(len(word_offsets) - 1):
            first, last = word_offsets[word], word_offsets[word + 1]
            place = starts[row] if at_start else ends[row] - (last - first)
            if last - first <= ends[row] - starts[row] and _is_at(data, place, words, first, last):
                found[row] = True
                break
    return found


@numba.njit(cache=True)
def _holding(data, starts, ends, words, word_offsets, pairs):  # type: ignore[no-untyped-def]
    found = np.zeros(len(starts), np.bool_)
    for row in range(len(starts)):
        before = np.int64(0)
        for place in range(starts[row], ends[row]):
            byte = np.int64(data[place])
            if 65 <= byte <= 90:
                byte += 32
            if pairs[before << 8 | byte]:
                room = ends[row] - place + 1
                for word in range(len(word_offsets) - 1):
                    first, last = word_offsets[word], word_offsets[word + 1]
                    if last - first <= room and _is_at(data, place - 1, words, first, last):
                        found[row] = True
                        break
                if found[row]:
                    break
            before = byte
    return found
