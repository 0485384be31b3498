"""Characters in repeated n-grams of words: Gopher's most expensive rules, compiled.

Words come as numbers, all documents in one array; n-grams are compared word by word behind a hash, so the
answer is exact. A few nanoseconds for each word and n. Rae et al. 2021, "Scaling Language Models" (appendix
A.1.1), counted as datatrove counts.
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
    longest = int(np.diff(offsets).max(initial=0))
    size = 1 << max(4, (2 * longest - 1).bit_length())
    _fill(words, offsets, lengths, num_chars, shares, size)
    return shares


@numba.njit(cache=True)
def _fill(words, offsets, lengths, num_chars, shares, size):  # type: ignore[no-untyped-def]
    places = np.zeros(size, np.int64)  # where the n-gram of this slot stands first
    counts = np.zeros(size, np.int64)
    stamps = np.zeros(size, np.int64)  # the round that wrote the slot; saves clearing
    stamp = 0
    for document in range(len(offsets) - 1):
        text = words[offsets[document] : offsets[document + 1]]
        if len(text) < 2:
            continue
        mask = 16
        while mask < 2 * len(text):
            mask *= 2
        mask -= 1
        for n in range(2, 5):
            stamp += 1
            chars = _top_chars(text, n, lengths, places, counts, stamps, stamp, mask)
            shares[document, n - 2] = chars / num_chars[document]
        for n in range(5, 11):
            stamp += 1
            chars = _repeated_chars(text, n, lengths, places, stamps, stamp, mask)
            shares[document, n - 2] = chars / num_chars[document]


@numba.njit(cache=True)
def _top_chars(text, n, lengths, places, counts, stamps, stamp, mask):  # type: ignore[no-untyped-def]
    best_count, best_place = 0, 0
    for place in range(len(text) - n + 1):
        slot = _slot(text, place, n, places, stamps, stamp, mask)
        if stamps[slot] != stamp:
            stamps[slot], places[slot], counts[slot] = stamp, place, 0
        counts[slot] += 1
        count, first = counts[slot], places[slot]
        if count > best_count or (count == best_count and first < best_place):
            best_count, best_place = count, first
    return best_count * (_chars(text, best_place, n, lengths) + n - 1) if best_count else 0


@numba.njit(cache=True)
def _repeated_chars(text, n, lengths, places, stamps, stamp, mask):  # type: ignore[no-untyped-def]
    chars, place = 0, 0
    while place < len(text) - n + 1:
        slot = _slot(text, place, n, places, stamps, stamp, mask)
        if stamps[slot] == stamp:
            chars += _chars(text, place, n, lengths)
            place += n
        else:
            stamps[slot], places[slot] = stamp, place
            place += 1
    return chars


@numba.njit(cache=True)
def _slot(text, place, n, places, stamps, stamp, mask):  # type: ignore[no-untyped-def]
    """The table slot of the n-gram at `place`: its own, or the free one where it belongs."""
    mixed = np.uint64(0)
    for step in range(n):
        mixed = (mixed ^ np.uint64(text[place + step])) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    slot = np.int64(mixed & np.uint64(mask))
    while stamps[slot] == stamp:
        first, same = places[slot], True
        for step in range(n):
            if text[first + step] != text[place + step]:
                same = False
                break
        if same:
            break
        slot = (slot + 1) & mask
    return slot


@numba.njit(cache=True)
def _chars(text, place, n, lengths):  # type: ignore[no-untyped-def]
    chars = 0
    for step in range(n):
        chars += lengths[text[place + step]]
    return chars
