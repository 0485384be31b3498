"""Shingles: the 64-bit hashes of a text's n-grams, of normalised words or of characters.

A text of fewer than n words (characters) has one shingle, of all of them, so that short copies still meet; a text
without any has none. Words are `words.normalised_words`: all numbers are one word, so that copies which differ in
dates and counters meet in MinHash. Tables and arithmetic sheets would all meet too, so what verifies a pair is of
words with their digits (`exact_shingle_sets`): one other date changes a few shingles of a text, other values all those
of a table. Characters are those of the text as it is, white space and capitals too.
"""

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.duplicates.schemes import Unit
from pipelines.text.normalised import CODE_POINTS, characters, mixed, word_hashes
from pipelines.text.vocabulary import utf8

WORDS, EXACT_WORDS, CHARACTERS = range(3)  # what the compiled functions know units by
SET_BYTES = 1 << 20  # of texts at once

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


def shingle_sets(texts: pa.Array | pa.ChunkedArray, n: int, unit: Unit = "words") -> tuple[U64, I64]:
    """(values, offsets): the shingles of text t, sorted, each once, at `values[offsets[t] : offsets[t + 1]]`."""
    return _sets(texts, n, CHARACTERS if unit == "chars" else WORDS)


def exact_shingle_sets(texts: pa.Array | pa.ChunkedArray, n: int, unit: Unit = "words") -> tuple[U64, I64]:
    """`shingle_sets` of words whose numbers keep their digits: what candidates are verified with."""
    return _sets(texts, n, CHARACTERS if unit == "chars" else EXACT_WORDS)


def scratch(bounds: I64) -> tuple[U64, U64, U64]:
    """Room for the units, the shingles and the hash table of the longest of the texts."""
    longest = int(np.diff(bounds).max(initial=0)) + 1
    return np.empty(longest, np.uint64), np.empty(longest, np.uint64), np.empty(4 * longest, np.uint64)


def _sets(texts: pa.Array | pa.ChunkedArray, n: int, unit: int) -> tuple[U64, I64]:
    data, bounds = utf8(texts)
    units, found, table = scratch(bounds)
    sizes = np.zeros(len(bounds), np.int64)  # by the bound that ends the text
    sets: list[U64] = [np.empty(0, np.uint64)]
    done = 0
    while done < len(bounds) - 1:
        first = done
        stop = max(done + 1, int(np.searchsorted(bounds, bounds[done] + SET_BYTES, "right")) - 1)
        values = np.empty(bounds[stop] - bounds[first] + stop - first, np.uint64)
        standing, items = CODE_POINTS.standing, CODE_POINTS.items
        done = _fill(data, bounds[: stop + 1], done, standing, items, unit, n, units, found, table, values, sizes)
        sets.append(values[: sizes[first + 1 : done + 1].sum()].copy())
        if done < stop:
            CODE_POINTS.learn(data, int(bounds[done]), int(bounds[done + 1]))
    return np.concatenate(sets), np.cumsum(sizes)


# ---------------------------------------------------------------------------------------------------------
# Compiled

_BASE = np.uint64(0xD1342543DE82EF95)


@numba.njit(cache=True)
def _fill(data, bounds, text, standing, items, unit, n, units, found, table, values, sizes):  # type: ignore[no-untyped-def]
    """Write the sorted sets of texts from `text` on; the first not done, which `standing` has to learn from."""
    written = 0
    while text < len(bounds) - 1:
        count = text_shingles(data, bounds[text], bounds[text + 1], standing, items, unit, n, units, found, table)
        if count < 0:
            break
        values[written : written + count] = np.sort(found[:count])
        written += count
        text += 1
        sizes[text] = count
    return text


@numba.njit(cache=True)
def text_shingles(data, begin, end, standing, items, unit, n, units, found, table):  # type: ignore[no-untyped-def]
    """Write the distinct shingles of a text to `found`, in no order, and return their number.

    -1 where `standing` does not know one of its code points yet. `units`, `found` and `table` come from `scratch`.
    """
    if unit == CHARACTERS:
        count = characters(data, begin, end, units)
    else:
        count = word_hashes(data, begin, end, standing, items, unit == EXACT_WORDS, units)
    if count <= 0:
        return count
    return _distinct(found, _ngrams(units, count, n, found), table)


@numba.njit(cache=True)
def _ngrams(units, count, n, found):  # type: ignore[no-untyped-def]
    """Polynomial hashes of all runs of n units, mixed; of all units where there are fewer. None is 0."""
    width = min(n, count)
    hashed, leading = np.uint64(0), np.uint64(1)
    for place in range(width):
        hashed = hashed * _BASE + units[place]
        leading *= _BASE
    salt = mixed(np.uint64(width))
    for place in range(count - width + 1):
        found[place] = max(mixed(hashed ^ salt), np.uint64(1))
        if place + width < count:
            hashed = hashed * _BASE + units[place + width] - units[place] * leading
    return count - width + 1


@numba.njit(cache=True)
def _distinct(found, count, table):  # type: ignore[no-untyped-def]
    """Each value once, in the place of the first; none of them is 0."""
    size = 4
    while size < 2 * count:
        size *= 2
    mask = np.uint64(size - 1)
    table[:size] = 0
    kept = 0
    for place in range(count):
        value = found[place]
        slot = value & mask
        while table[slot] != 0 and table[slot] != value:
            slot = (slot + np.uint64(1)) & mask
        if table[slot] == 0:
            table[slot] = value
            found[kept] = value
            kept += 1
    return kept
