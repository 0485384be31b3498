"""The compiled half of the n-gram index: windows of items, their tables, and the pass over documents.

Words are numbers below the length of `values`, which holds a random 64-bit value for each; an n-gram's hash is the
polynomial of its words' values, so that a run's prefix sums give that of any window at once (Karp and Rabin 1987).
"""

import numba
import numpy as np

GATE_BITS = 16  # for each n-gram

_BASE = np.uint64(0x9E3779B97F4A7C15)
_SPREAD = np.uint64(0xD6E8FEB86659FD93)


@numba.njit(cache=True, inline="always")
def _key(hashed, width):  # type: ignore[no-untyped-def]
    """The n-gram's key from the polynomial of its words' values."""
    mixed = (hashed ^ (np.uint64(width) * _SPREAD)) * _SPREAD
    mixed = (mixed ^ (mixed >> np.uint64(32))) * _SPREAD
    return mixed ^ (mixed >> np.uint64(32))


@numba.njit(cache=True)
def _power(exponent):  # type: ignore[no-untyped-def]
    power = np.uint64(1)
    for _ in range(exponent):
        power *= _BASE
    return power


@numba.njit(cache=True)
def _polynomial(words, first, width, values):  # type: ignore[no-untyped-def]
    hashed = np.uint64(0)
    for step in range(width):
        hashed = hashed * _BASE + values[words[first + step]]
    return hashed


@numba.njit(cache=True, inline="always")
def _same(words, first, others, other, width):  # type: ignore[no-untyped-def]
    step = 0
    while step < width and words[first + step] == others[other + step]:
        step += 1
    return step == width


@numba.njit(cache=True)
def windows(stream, offsets, widths, values):  # type: ignore[no-untyped-def]
    """Of each window: its n-gram, item and pair of neighbours; of each n-gram: first place, width and key."""
    total = 0
    for item in range(len(widths)):
        if widths[item]:
            total += offsets[item + 1] - offsets[item] - widths[item] + 1
    size = 16
    while size < 2 * total:
        size *= 2
    table, mask = np.zeros(size, np.int64), np.uint64(size - 1)
    windows, items, contexts = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.int64)
    firsts, ngram_widths, keys = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.uint64)
    count, window = 0, 0
    for item in range(len(widths)):
        width, start, end = widths[item], offsets[item], offsets[item + 1]
        if not width:
            continue
        for first in range(start, end - width + 1):
            key = _key(_polynomial(stream, first, width, values), width)
            slot = np.int64(key & mask)
            while table[slot]:
                other = table[slot] - 1
                same = keys[other] == key and ngram_widths[other] == width
                if same and _same(stream, first, stream, firsts[other], width):
                    break
                slot = np.int64(np.uint64(slot + 1) & mask)
            if not table[slot]:
                firsts[count], ngram_widths[count], keys[count] = first, width, key
                count += 1
                table[slot] = count
            before = stream[first - 1] + 1 if first > start else 0
            after = stream[first + width] + 1 if first + width < end else 0
            windows[window], items[window] = table[slot] - 1, item
            contexts[window] = np.int64(before) << 32 | np.int64(after)
            window += 1
    return windows, items, contexts, firsts[:count], ngram_widths[:count], keys[:count]


@numba.njit(cache=True)
def tables(stream, values, firsts, lengths, keys):  # type: ignore[no-untyped-def]
    """(gate, table): a bit for the first words of every n-gram, as many as the shortest has; n-grams by key."""
    size = 64
    while size < GATE_BITS * len(keys):
        size *= 2
    gate = np.zeros(size >> 6, np.uint64)
    places = 16
    while places < 2 * len(keys):
        places *= 2
    table = np.zeros(places, np.int32)
    for ngram in range(len(keys)):
        bit = _key(_polynomial(stream, firsts[ngram], lengths[0], values), lengths[0]) & np.uint64(size - 1)
        gate[bit >> np.uint64(6)] |= np.uint64(1) << (bit & np.uint64(63))
        slot = np.int64(keys[ngram] & np.uint64(places - 1))
        while table[slot]:
            slot = (slot + 1) & (places - 1)
        table[slot] = ngram + 1
    return gate, table


@numba.njit(cache=True)
def match(words, offsets, values, lengths, gate, table, keys, firsts, widths, stream, places, ngrams):  # type: ignore[no-untyped-def]
    """Write the windows that are n-grams as far as there is room; how many there are."""
    shortest = lengths[0]
    powers = np.empty(len(lengths), np.uint64)
    for number in range(len(lengths)):
        powers[number] = _power(lengths[number])
    bits, mask = np.uint64(64 * len(gate) - 1), np.int64(len(table) - 1)
    sums = np.empty(len(words) + 1, np.uint64)
    count = 0
    for document in range(len(offsets) - 1):
        place, end = offsets[document], offsets[document + 1]
        while place < end:
            sums[place] = np.uint64(0)
            run_end = place
            while run_end < end and words[run_end] >= 0:
                sums[run_end + 1] = sums[run_end] * _BASE + values[words[run_end]]
                run_end += 1
            for first in range(place, run_end - shortest + 1):
                bit = _key(sums[first + shortest] - sums[first] * powers[0], shortest) & bits
                if not gate[bit >> np.uint64(6)] >> (bit & np.uint64(63)) & np.uint64(1):
                    continue
                for number in range(len(lengths)):
                    width = lengths[number]
                    if first + width > run_end:
                        break
                    key = _key(sums[first + width] - sums[first] * powers[number], width)
                    slot = np.int64(key & np.uint64(mask))
                    while table[slot]:
                        ngram = table[slot] - 1
                        same = keys[ngram] == key and widths[ngram] == width
                        if same and _same(words, first, stream, firsts[ngram], width):
                            if count < len(places):
                                places[count], ngrams[count] = first, ngram
                            count += 1
                            break
                        slot = (slot + 1) & mask
            place = run_end + 1
    return count
