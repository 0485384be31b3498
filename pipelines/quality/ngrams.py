"""N-grams of words as numbers: for each, the place of the first one in its text that is equal to it.

An n-gram is the pair of the two (n-1)-grams that it is made of, so pairs of numbers are compared, and what was
unique among (n-1)-grams needs no look. Exact, and a few nanoseconds for each word and n.
"""

from collections.abc import Iterator

import numba
import numpy as np
import numpy.typing as npt

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]


def ngram_firsts(words: I32, offsets: I64, last: int) -> Iterator[tuple[int, I32, I32]]:
    """(n, firsts, counts) for n from 2 to `last`.

    `words` are numbers, those of text t at `offsets[t] : offsets[t + 1]`; so are the n-grams that begin there, of
    which a text has n - 1 fewer, the places behind them being without meaning. `firsts[place]` is where the first
    n-gram stands that is equal to the one at `place`, and `counts[first]` how often it occurs in the text. Both are
    overwritten by the next n.
    """
    firsts = words.astype(np.int32, copy=True)
    counts = np.full(len(words), 2, np.int32)
    old = np.empty_like(counts)
    longest = int(np.diff(offsets).max(initial=0))
    size = 1 << max(4, (2 * longest - 1).bit_length())
    keys, places = np.empty(size, np.int64), np.empty(size, np.int32)
    stamps = np.zeros(size, np.int32)  # the round that wrote the slot; saves clearing
    stamp = 0
    for n in range(2, last + 1):
        old, counts = counts, old
        stamp = _pair(firsts, old, counts, offsets, n, keys, places, stamps, stamp)
        yield n, firsts, counts


@numba.njit(cache=True)
def _pair(firsts, old, counts, offsets, n, keys, places, stamps, stamp):  # type: ignore[no-untyped-def]
    for text in range(len(offsets) - 1):
        begin, end = offsets[text], offsets[text + 1] - n + 1
        if end <= begin:
            continue
        stamp += 1
        mask = 16
        while mask < 2 * (end - begin):
            mask *= 2
        mask -= 1
        for place in range(begin, end):
            left, right = firsts[place], firsts[place + 1]
            firsts[place] = place
            if n > 2 and (old[left] == 1 or old[right] == 1):
                counts[place] = 1
                continue
            key = np.int64(left) << 32 | np.int64(right)
            mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
            slot = np.int64(mixed >> np.uint64(32)) & mask
            while stamps[slot] == stamp and keys[slot] != key:
                slot = (slot + 1) & mask
            if stamps[slot] == stamp:
                firsts[place] = places[slot]
                counts[places[slot]] += 1
            else:
                stamps[slot], keys[slot], places[slot] = stamp, key, place
                counts[place] = 1
    return stamp


@numba.njit(cache=True)
def top_places(firsts, counts, offsets, n):  # type: ignore[no-untyped-def]
    """int64 [texts]: where the commonest n-gram of each text stands first, the first of several; -1 without any."""
    found = np.full(len(offsets) - 1, -1, np.int64)
    for text in range(len(offsets) - 1):
        best = 0
        for place in range(offsets[text], offsets[text + 1] - n + 1):
            if firsts[place] == place and counts[place] > best:
                best = counts[place]
                found[text] = place
    return found
