"""Distinct strings by number, as UTF-8 in arrays that compiled code reads: `chunk_table`'s arrays, and their growth."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.text.chunk_table import COUNT, SPAN, STATE, USED, WANTED, Table, hash_spans, number_spans, refill

I32 = npt.NDArray[np.int32]
U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


class Spellings:
    """Strings, numbered in the order in which they were first met."""

    def __init__(self) -> None:
        self.state = np.zeros(STATE, np.int64)
        self.table = Table(
            np.zeros(1 << 14, np.uint64),
            np.empty(1 << 13, np.uint64),
            np.empty(1 << 13, np.int64),
            np.empty(1 << 13, np.int32),
            np.empty(1 << 16, np.uint8),
        )

    def __len__(self) -> int:
        return int(self.state[COUNT])

    @property
    def num_bytes(self) -> int:
        return int(self.state[USED])

    @property
    def chars(self) -> I32:
        """Characters of each string."""
        return self.table.chars[: len(self)]

    def begin(self, number: int) -> int:
        """The place in the arena where a string begins, or where the next will."""
        return int(self.table.ends[number - 1]) if number else 0

    def texts(self, numbers: I64) -> list[str]:
        """The strings of some numbers in ascending order."""
        if not len(numbers):
            return []
        ends = self.table.ends[numbers] - 1
        starts = np.where(numbers > 0, self.table.ends[numbers - 1], 0)
        zero = int(starts[0])
        data = self.table.arena[zero : ends[-1]].tobytes()
        bounds = zip((starts - zero).tolist(), (ends - zero).tolist(), strict=True)
        return [data[start:end].decode() for start, end in bounds]

    def number(self, texts: Sequence[str]) -> I32:
        """The number of each string, which it gets where it has none."""
        data = [text.encode() for text in texts]
        ends = np.cumsum(np.fromiter(map(len, data), np.int64, len(data)))
        starts = np.concatenate([np.zeros(1, np.int64), ends])[:-1]
        return self.number_spans(np.frombuffer(b"".join(data), np.uint8), starts, ends)

    def number_spans(self, data: Bytes, starts: I64, ends: I64, hashes: U64 | None = None) -> I32:
        """The same for the strings `data[starts[n] : ends[n]]`, of which `chunk_table.hash_of` may be known."""
        if hashes is None:
            hashes = np.empty(len(starts), np.uint64)
            hash_spans(data, starts, ends, hashes)
        numbers = np.empty(len(starts), np.int32)
        self.state[SPAN] = 0
        while not number_spans(data, starts, ends, hashes, self.state, self.table, numbers):
            self._make_room()
        return numbers

    def _make_room(self) -> None:
        """Grow what is too full for the string that is to come."""
        slots, hashes, ends, chars, arena = self.table
        count, used, wanted = (int(self.state[place]) for place in (COUNT, USED, WANTED))
        if used + wanted > len(arena):
            arena = _grown(arena, 2 * (used + wanted))
        full = count == len(hashes)
        if full:
            slots = np.zeros(4 * len(hashes), np.uint64)
            hashes, ends, chars = (_grown(values, 2 * count) for values in (hashes, ends, chars))
        self.table = Table(slots, hashes, ends, chars, arena)
        if full:
            refill(self.table, count)


def _grown(values: npt.NDArray, size: int) -> npt.NDArray:  # type: ignore[type-arg]
    """The values at the start of an array of that size."""
    found = np.empty(size, values.dtype)
    found[: len(values)] = values
    return found
