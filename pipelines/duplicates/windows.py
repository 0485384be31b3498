"""Windows of words that documents with a common run of words choose alike, without knowing of each other.

Lee et al. 2022 cut repeated runs of 50 tokens, found in a suffix array. Here windows of so many words begin at places
that their own words choose: where the hash of the next GRAM words is the smallest of SPREAD in a row (winnowing,
Schleimer et al. 2003). So documents that share a run choose the same places in it, every shared run of `width` +
SPREAD - 1 words is found, all but SPREAD - 1 words at each of its ends, and less than a fifth of the words begin a
window. A suffix array finds the ends exactly, but takes all texts at once, many times their size, and starts anew with
every crawl.
"""

import numba
import numpy as np

from pipelines.edits.characters import LETTER, SPACE
from pipelines.text.characters import decoded

GRAM, SPREAD = 8, 10

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)
_BASE = np.uint64(0xD6E8FEB86659FD93)


@numba.njit(cache=True)
def windows(data, bounds, classes, width):  # type: ignore[no-untyped-def]
    """(rows, hashes, starts, ends) of windows of `width` words; a character of a script without spaces is a word."""
    most = 0
    for row in range(len(bounds) - 1):
        most = max(most, bounds[row + 1] - bounds[row])
    begins = np.empty(most + 1, np.int64)  # of each word, and the end of the text
    running = np.empty(most + 1, np.uint64)  # hash of all words before
    grams = np.empty(most + 1, np.uint64)
    rows = [np.int64(0) for _ in range(0)]
    hashes = [np.uint64(0) for _ in range(0)]
    starts, ends = [np.int64(0) for _ in range(0)], [np.int64(0) for _ in range(0)]
    gram_factor, span_factor = _power(GRAM), _power(width)
    for row in range(len(bounds) - 1):
        begin, stop = bounds[row], bounds[row + 1]
        count = _words(data, begin, stop, classes, begins, running)
        if count < width:
            continue
        for place in range(count - GRAM + 1):
            grams[place] = _mixed(running[place + GRAM] - running[place] * gram_factor)
        chosen = -1
        for last in range(SPREAD - 1, count - GRAM + 1):
            if chosen <= last - SPREAD:
                chosen_now = last - SPREAD + 1
                for place in range(chosen_now + 1, last + 1):
                    if grams[place] < grams[chosen_now]:
                        chosen_now = place
            elif grams[last] < grams[chosen]:
                chosen_now = last
            else:
                continue
            chosen = chosen_now
            if chosen + width <= count:
                rows.append(np.int64(row))
                hashes.append(_mixed(running[chosen + width] - running[chosen] * span_factor))
                starts.append(begins[chosen] - begin)
                ends.append(begins[chosen + width] - begin)
    return np.array(rows), np.array(hashes), np.array(starts), np.array(ends)


@numba.njit(cache=True)
def _words(data, begin, stop, classes, begins, running):  # type: ignore[no-untyped-def]
    """Fill in where words begin and the polynomial hash of those before; how many there are."""
    place, count, in_word, hashed = begin, 0, False, np.uint64(0)
    running[0] = np.uint64(0)
    while place < stop:
        code, width = decoded(data, place)
        bits = classes[code]
        ends = in_word and (bits & SPACE or bits & LETTER)
        if ends:
            running[count] = running[count - 1] * _BASE + _mixed(hashed)
            in_word = False
        if bits & LETTER:
            begins[count] = place
            count += 1
            running[count] = running[count - 1] * _BASE + _mixed(np.uint64(code))
        elif not bits & SPACE:
            if not in_word:
                in_word, hashed = True, np.uint64(0x51)
                begins[count] = place
                count += 1
            hashed = (hashed ^ np.uint64(code)) * _FACTOR
            hashed ^= hashed >> _SHIFT
        place += width
    if in_word:
        running[count] = running[count - 1] * _BASE + _mixed(hashed)
    begins[count] = stop
    return count


@numba.njit(cache=True)
def _power(exponent):  # type: ignore[no-untyped-def]
    found = np.uint64(1)
    for _ in range(exponent):
        found *= _BASE
    return found


@numba.njit(cache=True, inline="always")
def _mixed(x):  # type: ignore[no-untyped-def]
    """A bijection of 64 bits that spreads every bit over all (splitmix64's finaliser)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
