"""The likeliest label of texts by a fastText model, compiled: what fastText's `predict` says, a batch in one pass.

A text's vector is the mean of the rows of its words, their character n-grams and the word n-grams. Rows are summed a
word at a time, so that words which come again are summed once. Numbers differ from fastText's by float order only: its
sums are of 32 bits, which drift over more than 100,000 rows, by 2e-4 of the probability at 20,000 times the same word.
"""

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from pipelines.text.fasttext_file import Model

SPACES = np.zeros(256, np.bool_)
SPACES[[0x00, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20]] = True
UNKNOWN = "und"
END = np.frombuffer(b"</s>", np.uint8)  # the word at the end of each line; as a word of a text it ends the text
LABEL = np.frombuffer(b"__label__", np.uint8)

REMEMBERED = 1 << 15  # words whose sums are kept within a batch
MAX_REMEMBERED = 64  # bytes of such a word

_BEGIN, _END = 0x3C, 0x3E  # the marks < and > around a word, whose n-grams they are part of
_OFFSET, _PRIME, _MASK = np.uint64(2166136261), np.uint64(16777619), np.uint64(0xFFFFFFFF)  # of FNV-1a, 32 bits
_HIGH = np.uint64(0xFFFFFFFFFFFFFF00)
_PAIR = np.uint64(116049371)  # by which hashes of words become those of word n-grams


class Slots(NamedTuple):
    """Open-addressing tables: number + 1 of a word or label, and of a kept bucket."""

    entries: npt.NDArray[np.int32]
    kept: npt.NDArray[np.int32]


class Labeller:
    """The likeliest labels of texts under one model."""

    def __init__(self, model: Model) -> None:
        self.labels = model.labels
        self._network = model.network
        self._slots = Slots(_table(len(model.network.ends)), _table(len(model.network.kept_buckets)))
        _fill(self._network, self._slots)

    def best(self, lines: list[bytes]) -> tuple[list[str], npt.NDArray[np.float32]]:
        """(likeliest label, its probability [n], which can go a little over 1) of UTF-8 lines.

        "und" and 0 where no word is known. Line breaks and NUL are spaces, as other white space of ASCII.
        """
        numbers, scores = np.full(len(lines), -1, np.int32), np.zeros(len(lines), np.float32)
        # A byte before and after each line, which the marks of its first and last word overwrite.
        data = np.frombuffer(bytearray(b" " + b" ".join(lines) + b" "), np.uint8)
        ends = np.cumsum(np.fromiter((len(line) + 1 for line in lines), np.int64, len(lines)))
        bounds = np.concatenate([np.zeros(1, np.int64), ends]).astype(np.int64) + 1
        _label(data, bounds, self._network, self._slots, numbers, scores)
        return [self.labels[number] if number >= 0 else UNKNOWN for number in numbers.tolist()], scores


def _table(entries: int) -> npt.NDArray[np.int32]:
    return np.zeros(1 << (2 * entries + 1).bit_length(), np.int32)


# ---------------------------------------------------------------------------------------------------------
# Compiled


@numba.njit(cache=True, inline="always")
def _hashed(value, byte):  # type: ignore[no-untyped-def]
    """FNV-1a's next step. fastText's bytes are signed: those from 128 on set the higher bits too."""
    byte = np.uint64(byte)
    return ((value ^ (byte | _HIGH if byte > 127 else byte)) * _PRIME) & _MASK


@numba.njit(cache=True)
def _hash(data, begin, end):  # type: ignore[no-untyped-def]
    value = _OFFSET
    for place in range(begin, end):
        value = _hashed(value, data[place])
    return value


@numba.njit(cache=True)
def _is_same(data, begin, end, others, other):  # type: ignore[no-untyped-def]
    step = 0
    while step < end - begin and data[begin + step] == others[other + step]:
        step += 1
    return step == end - begin


@numba.njit(cache=True)
def _entry(data, begin, end, value, network, slots):  # type: ignore[no-untyped-def]
    """The number of a word or label of this hash; -1 for an unknown one."""
    mask = np.int64(len(slots.entries) - 1)
    slot = np.int64(value) & mask
    while slots.entries[slot]:
        entry = np.int64(slots.entries[slot]) - 1
        first = network.ends[entry - 1] if entry else 0
        if network.ends[entry] - first == end - begin and _is_same(data, begin, end, network.spellings, first):
            return entry
        slot = (slot + 1) & mask
    return np.int64(-1)


@numba.njit(cache=True)
def _fill(network, slots):  # type: ignore[no-untyped-def]
    mask = len(slots.entries) - 1
    first = 0
    for entry in range(len(network.ends)):
        slot = np.int64(_hash(network.spellings, first, network.ends[entry])) & mask
        while slots.entries[slot]:
            slot = (slot + 1) & mask
        slots.entries[slot] = entry + 1
        first = network.ends[entry]
    mask = len(slots.kept) - 1
    for number in range(len(network.kept_buckets)):
        slot = np.int64(network.kept_buckets[number]) & mask
        while slots.kept[slot]:
            slot = (slot + 1) & mask
        slots.kept[slot] = number + 1


@numba.njit(cache=True, inline="always")
def _row(bucket, network, slots):  # type: ignore[no-untyped-def]
    """The input row of an n-gram's bucket; -1 where it was pruned."""
    if not network.is_pruned:
        return network.num_words + bucket
    mask = len(slots.kept) - 1
    slot = bucket & mask
    while slots.kept[slot]:
        number = slots.kept[slot] - 1
        if network.kept_buckets[number] == bucket:
            return network.num_words + np.int64(network.kept_rows[number])
        slot = (slot + 1) & mask
    return np.int64(-1)


@numba.njit(cache=True)
def _add_word(data, begin, end, value, network, slots, total):  # type: ignore[no-untyped-def]
    """Add a word's rows, of itself and its n-grams; how many. -1 for a label, which counts for nothing."""
    rows, dim = network.inputs, network.inputs.shape[1]
    entry = _entry(data, begin, end, value, network, slots)
    if entry >= network.num_words:
        return -1
    if entry < 0 and end - begin >= len(LABEL) and _is_same(data, begin, begin + len(LABEL), LABEL, 0):
        return -1
    count = 0
    if entry >= 0:
        for k in range(dim):
            total[k] += rows[entry, k]
        count = 1
    if not network.max_chars or (end - begin == len(END) and _is_same(data, begin, end, END, 0)):
        return count
    begin, end = begin - 1, end + 1
    data[begin], data[end - 1] = _BEGIN, _END
    buckets = np.uint64(network.buckets) & _MASK
    for first in range(begin, end):
        if data[first] & 0xC0 == 0x80:
            continue
        value, place = _OFFSET, first
        for chars in range(1, network.max_chars + 1):
            if place >= end:
                break
            value = _hashed(value, data[place])
            place += 1
            while place < end and data[place] & 0xC0 == 0x80:
                value = _hashed(value, data[place])
                place += 1
            if chars < network.min_chars or (chars == 1 and (first == begin or place == end)):
                continue
            row = _row(np.int64(value % buckets), network, slots)
            if row >= 0:
                for k in range(dim):
                    total[k] += rows[row, k]
                count += 1
    return count


@numba.njit(cache=True)
def _add_word_ngrams(hashes, words, network, slots, total):  # type: ignore[no-untyped-def]
    """Add the rows of a text's word n-grams; how many. Hashes are taken as signed numbers of 32 bits."""
    count, dim = 0, network.inputs.shape[1]
    for first in range(words):
        value = np.uint64(np.int64(np.int32(hashes[first])))
        for word in range(first + 1, min(words, first + network.max_words)):
            value = value * _PAIR + np.uint64(np.int64(np.int32(hashes[word])))
            row = _row(np.int64(value % np.uint64(network.buckets)), network, slots)
            if row >= 0:
                for k in range(dim):
                    total[k] += network.inputs[row, k]
                count += 1
    return count


@numba.njit(cache=True)
def _likeliest(mean, network, logs):  # type: ignore[no-untyped-def]
    """(label, probability). fastText adds 1e-5 to whatever it takes the logarithm of."""
    labels, dim = network.outputs.shape
    is_tree = labels > 1 and len(network.left) > 0
    if is_tree:
        logs[2 * labels - 2] = 0
    for step in range(labels - is_tree):
        node = labels - 2 - step if is_tree else step
        product = 0.0
        for k in range(dim):
            product += mean[k] * network.outputs[node, k]
        if is_tree:  # from the root down: a node comes after those below it
            right = 1 / (1 + np.exp(-product))
            so_far = logs[labels + node]
            logs[network.left[node]] = so_far + np.log(1 - right + 1e-5)
            logs[network.right[node]] = so_far + np.log(right + 1e-5)
        else:
            logs[node] = product
    best = np.argmax(logs[:labels])
    if is_tree:
        return best, np.exp(logs[best])
    return best, 1 / np.exp(logs[:labels] - logs[best]).sum() + 1e-5


@numba.njit(cache=True)
def _label(data, bounds, network, slots, numbers, scores):  # type: ignore[no-untyped-def]
    dim = network.inputs.shape[1]
    total, logs = np.zeros(dim, np.float64), np.zeros(2 * len(network.outputs), np.float64)
    sums, counts = np.zeros((REMEMBERED + 1, dim), np.float32), np.zeros(REMEMBERED + 1, np.int64)
    spans = np.zeros((REMEMBERED + 1, 2), np.int64)
    hashes = np.zeros(0, np.uint32)
    end_word, end_sum, end_hash = END.copy(), np.zeros(dim, np.float32), _hash(END, 0, len(END))
    end_count = _add_word(end_word, 0, len(END), end_hash, network, slots, end_sum)
    for text in range(len(bounds) - 1):
        place, last = bounds[text], bounds[text + 1] - 1
        if network.max_words > 1 and len(hashes) < last - place + 2:
            hashes = np.zeros(2 * (last - place) + 2, np.uint32)
        total[:] = 0
        count, words = 0, 0
        while place < last:
            if SPACES[data[place]]:
                place += 1
                continue
            begin, value = place, _OFFSET
            while place < last and not SPACES[data[place]]:
                value = _hashed(value, data[place])
                place += 1
            size = place - begin
            if size == len(END) and _is_same(data, begin, place, END, 0):
                break
            slot = np.int64(value) & (REMEMBERED - 1) if size <= MAX_REMEMBERED else REMEMBERED
            if (
                slot == REMEMBERED
                or spans[slot, 1] - spans[slot, 0] != size
                or not _is_same(data, begin, place, data, spans[slot, 0])
            ):
                spans[slot, 0], spans[slot, 1] = begin, place
                sums[slot, :] = 0
                counts[slot] = _add_word(data, begin, place, value, network, slots, sums[slot])
            if counts[slot] >= 0:
                for k in range(dim):
                    total[k] += sums[slot, k]
                count += counts[slot]
                if network.max_words > 1:
                    hashes[words] = value
                    words += 1
            place += 1
        if end_count >= 0:
            for k in range(dim):
                total[k] += end_sum[k]
            count += end_count
            if network.max_words > 1:
                hashes[words] = end_hash
                words += 1
        count += _add_word_ngrams(hashes, words, network, slots, total)
        if count:
            numbers[text], scores[text] = _likeliest(total / count, network, logs)
