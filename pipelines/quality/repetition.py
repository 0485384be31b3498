"""Characters in repeated n-grams of words: Gopher's most expensive rules, compiled.

Words come as numbers, all documents in one array. An n-gram is known by the two (n-1)-grams in it, so that comparing
two of any length is comparing one pair of numbers, and exact; a place whose (n-1)-gram comes once is never looked at
again. Rae et al. 2021, "Scaling Language Models" (appendix A.1.1), counted as datatrove counts.
"""

import numba
import numpy as np
import numpy.typing as npt

TOP_SIZES = (2, 3, 4)
DUP_SIZES = (5, 6, 7, 8, 9, 10)


def ngram_shares(
    words: npt.NDArray[np.int32],
    offsets: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int32],
    num_chars: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """Shares of a document's characters in its commonest 2- to 4-gram, and in repeated 5- to 10-grams.

    Words are numbers, those of document d at `offsets[d] : offsets[d + 1]`; `lengths[word]` is in characters
    and `num_chars[d]` those of the whole text. Returns documents x 9.

    The commonest n-gram (the first, of several) counts as often as it occurs, once too, overlapping, with the
    spaces between its words. A repeated n-gram counts each time after the first, without spaces, and the walk
    goes on behind it. 0 for a text with fewer than n words.
    """
    shares = np.zeros((len(offsets) - 1, len(TOP_SIZES) + len(DUP_SIZES)))
    _fill(words, offsets, lengths, num_chars, shares, int(np.diff(offsets).max(initial=0)))
    return shares


_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(32)


@numba.njit(cache=True)
def _fill(words, offsets, lengths, num_chars, shares, longest):  # type: ignore[no-untyped-def]
    size = 16
    while size < 2 * longest:
        size *= 2
    keys, places = np.empty(size, np.int64), np.empty(size, np.int32)
    stamps = np.zeros(size, np.int64)  # the round that wrote the slot; saves clearing
    grams = np.empty(longest + 1, np.int32)  # the place where the n-gram of a place stands first, -1 if it comes once
    counts = np.empty(longest + 1, np.int32)
    chars = np.zeros(longest + 1, np.int64)  # of the words before a place
    seen = np.zeros(longest + 1, np.int64)
    stamp = 0
    for document in range(len(offsets) - 1):
        begin = offsets[document]
        count = offsets[document + 1] - begin
        if count < 2:
            continue
        mask = 16
        while mask < 2 * count:
            mask *= 2
        mask -= 1
        for place in range(count):
            grams[place] = words[begin + place]
            chars[place + 1] = chars[place] + lengths[words[begin + place]]
        repeated = True
        for n in range(2, 11):
            if count < n or (not repeated and n >= 5):
                break
            stamp += 1
            if repeated:
                best, first = _lengthen(grams, count - n + 1, n, counts, keys, places, stamps, stamp, mask)
                repeated = best > 1
            else:
                best, first = 1, 0
            if n < 5:
                found = best * (chars[first + n] - chars[first] + n - 1)
            else:
                found = _walk(grams, count - n + 1, n, chars, seen, stamp)
            shares[document, n - 2] = found / num_chars[document]


@numba.njit(cache=True)
def _lengthen(grams, num_places, n, counts, keys, places, stamps, stamp, mask):  # type: ignore[no-untyped-def]
    """Turn (n-1)-grams into n-grams, in place; (how often the commonest comes, its first place)."""
    best, first = 1, 0
    for place in range(num_places):
        one, next_one = grams[place], grams[place + 1]
        if n > 2 and (one < 0 or next_one < 0):
            grams[place] = -1
            continue
        key = (np.int64(one) << 32) | np.int64(next_one)
        mixed = np.uint64(key) * _FACTOR
        mixed ^= mixed >> _SHIFT
        slot = np.int64(mixed & np.uint64(mask))
        while stamps[slot] == stamp and keys[slot] != key:
            slot = (slot + 1) & mask
        if stamps[slot] != stamp:
            stamps[slot], keys[slot], places[slot] = stamp, key, place
            counts[place] = 0
        gram = places[slot]
        grams[place] = gram
        counts[gram] += 1
        if counts[gram] > best or (counts[gram] == best and gram < first and best > 1):
            best, first = counts[gram], gram
    for place in range(num_places):
        if grams[place] >= 0 and counts[grams[place]] == 1:
            grams[place] = -1
    return best, first


@numba.njit(cache=True)
def _walk(grams, num_places, n, chars, seen, stamp):  # type: ignore[no-untyped-def]
    """Characters of the n-grams that were passed before, going on behind each."""
    found, place = 0, 0
    while place < num_places:
        gram = grams[place]
        if gram >= 0 and seen[gram] == stamp:
            found += chars[place + n] - chars[place]
            place += n
        else:
            if gram >= 0:
                seen[gram] = stamp
            place += 1
    return found
