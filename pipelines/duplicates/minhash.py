"""Near-duplicates: shingles, MinHash bands, candidate pairs, exact verification, groups.

A shingle is the 64-bit hash of n normalised words in a row. A text of fewer words has one shingle, of all
its words, so that short copies still meet; a text without a word has none. MinHash (Broder 1997) keeps, for
each of bands x rows random functions, the smallest value over the shingles; documents whose values agree in
all rows of a band become candidates: with similarity s, one of b bands of r rows agrees with probability 1
- (1 - s^r)^b. Candidates are only that: `jaccards` compares their shingle sets exactly, and `keepers` joins
verified pairs.

All numbers are one word to the bands, so that copies which differ in dates and counters meet; tables and
arithmetic sheets would all meet too. So the sets that verify a pair are of words with their digits
(`exact_shingles`): one other date changes a few shingles of a text, other values all those of a table.

The functions are multiply-shift, h(x) = (a x + b mod 2^64) >> 32 on 32 bits of the shingle (Dietzfelbinger
1996), which the compiler vectorises; all of it is integer arithmetic, so the same on every machine.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from pipelines.settings import Duplicates
from pipelines.text.words import exact_chunk, normalised_chunk

VERSION = 1

MAX_BUCKET = 50  # rows; a bucket of m rows has m (m - 1) / 2 pairs, 1,225 at most
NUM_CENTRES = 8  # smallest rows that all rows of a larger bucket are paired with
MAX_REMEMBERED = 300_000  # chunks whose hashes are kept, with digits and without; about 60 MB each
MAX_REMEMBERED_CHARS = 64

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


def shingles(text: str, n: int) -> U64:
    """The hashes of the text's n-grams of normalised words, sorted, each once.

    One hash, of all words, for a text of 1 to n - 1 words; empty for a text without words.
    """
    return _shingles(text, n, _HASHES)


def exact_shingles(text: str, n: int) -> U64:
    """`shingles` of words whose numbers keep their digits: what candidates are verified with."""
    return _shingles(text, n, _EXACT_HASHES)


def content_hash(text: str) -> bytes:
    """128 bits of the text with every run of white space as one space."""
    return bytes(xxhash.xxh3_128_digest(" ".join(text.split()).encode()))


def signatures(texts: Sequence[str], settings: Duplicates) -> pa.Table:
    """content_hash, num_shingles (int32), and a uint64 hash of each band's rows: band_00, band_01, ...

    The bands of a text without words depend on its content alone, so that it meets exact copies only.
    """
    multipliers, summands = _functions(settings)
    contents = [content_hash(text) for text in texts]
    sizes = np.zeros(len(texts), np.int32)
    bands = np.empty((settings.bands, len(texts)), np.uint64)
    for row, (text, content) in enumerate(zip(texts, contents, strict=True)):
        found = shingles(text, settings.ngram)
        sizes[row] = len(found)
        if not len(found):
            found = np.frombuffer(content[:8], "<u8")
        _band_hashes(found, multipliers, summands, bands[:, row])
    columns = {f"band_{number:02d}": pa.array(bands[number]) for number in range(settings.bands)}
    return pa.table({"content_hash": pa.array(contents, pa.binary(16)), "num_shingles": sizes, **columns})


def candidate_pairs(hashes: U64, rows: U64, max_bucket: int = MAX_BUCKET) -> tuple[U64, U64, int]:
    """(left, right, capped): the pairs of rows that share a hash, left < right, and how many buckets were capped.

    Each pair once for each hash that it shares. In a bucket of more than `max_bucket` rows, each row is
    paired with the NUM_CENTRES smallest rows only: linear in the bucket, and copies of one text still join.
    """
    order = np.lexsort((rows, hashes))
    sorted_hashes, sorted_rows = hashes[order], rows[order]
    starts = np.flatnonzero(np.concatenate([[True], sorted_hashes[1:] != sorted_hashes[:-1]])[: len(order)])
    sizes = np.diff(np.append(starts, len(order)))
    many = sizes > 1
    left, right = _pairs(sorted_rows, starts[many], sizes[many], max_bucket)
    distinct = left != right
    return left[distinct], right[distinct], int((sizes > max_bucket).sum())


def shingle_sets(texts: Sequence[str], n: int) -> tuple[U64, I64]:
    """(values, offsets): the exact shingles of text d, sorted, at `values[offsets[d] : offsets[d + 1]]`."""
    sets = [exact_shingles(text, n) for text in texts]
    offsets = np.zeros(len(sets) + 1, np.int64)
    np.cumsum([len(one) for one in sets], out=offsets[1:])
    return np.concatenate([np.empty(0, np.uint64), *sets]), offsets


def jaccards(values: U64, offsets: I64, left: npt.NDArray[Any], right: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Exact similarity of each pair (left[i], right[i]) of the sets of `shingle_sets`; 0 where both are empty."""
    found = np.empty(len(left), np.float32)
    _jaccards(values, offsets, left.astype(np.int64), right.astype(np.int64), found)
    return found


def keepers(num_rows: int, left: npt.NDArray[Any], right: npt.NDArray[Any]) -> I64:
    """For each of the rows 0 .. num_rows - 1, the smallest row that pairs connect it with; itself if none."""
    parents = np.arange(num_rows, dtype=np.int64)
    _unite(parents, left.astype(np.int64), right.astype(np.int64))
    return parents


# ---------------------------------------------------------------------------------------------------------
# Shingles and signatures


class _ChunkHashes(dict[str, bytes]):
    """Chunk -> 64-bit hashes of the words that it is cut into, filled as it is asked."""

    def __init__(self, cut: Callable[[str], list[str]]) -> None:
        self.cut = cut

    def __missing__(self, chunk: str) -> bytes:
        found = b"".join(xxhash.xxh3_64_digest(word.encode()) for word in self.cut(chunk))
        if len(chunk) <= MAX_REMEMBERED_CHARS:
            if len(self) >= MAX_REMEMBERED:
                self.clear()
            self[chunk] = found
        return found


_HASHES = _ChunkHashes(normalised_chunk)
_EXACT_HASHES = _ChunkHashes(exact_chunk)


def _shingles(text: str, n: int, hashes: _ChunkHashes) -> U64:
    words = np.frombuffer(b"".join(map(hashes.__getitem__, text.split())), "<u8")
    found: U64 = _ngram_hashes(words, n)
    found.sort()
    return _distinct(found)  # type: ignore[no-any-return]


def _functions(settings: Duplicates) -> tuple[U64, U64]:
    """Multipliers (odd) and summands of the random functions."""
    numbers = np.random.Generator(np.random.PCG64(settings.seed))
    count = settings.bands * settings.rows
    drawn = numbers.integers(0, 2**64, size=(2, count), dtype=np.uint64)
    return drawn[0].reshape(settings.bands, settings.rows) | np.uint64(1), drawn[1].reshape(settings.bands, -1)


@numba.njit(cache=True, inline="always")
def _mixed(x):  # type: ignore[no-untyped-def]
    """A bijection of 64 bits that spreads every bit over all (splitmix64's finaliser)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(cache=True)
def _ngram_hashes(words, n):  # type: ignore[no-untyped-def]
    width = min(n, len(words))
    count = len(words) - width + 1 if width else 0
    found = np.empty(count, np.uint64)
    for place in range(count):
        hashed = np.uint64(width)
        for step in range(width):
            hashed = _mixed(hashed ^ words[place + step]) + np.uint64(0x9E3779B97F4A7C15)
        found[place] = hashed
    return found


@numba.njit(cache=True)
def _distinct(found):  # type: ignore[no-untyped-def]
    """Sorted values, each once."""
    count = min(1, len(found))
    for place in range(1, len(found)):
        if found[place] != found[place - 1]:
            found[count] = found[place]
            count += 1
    return found[:count].copy()


@numba.njit(cache=True)
def _band_hashes(found, multipliers, summands, bands):  # type: ignore[no-untyped-def]
    num_bands, num_rows = multipliers.shape
    a, b = multipliers.ravel(), summands.ravel()
    smallest = np.full(len(a), 0xFFFFFFFF, np.uint32)
    for shingle in found:
        x = shingle >> np.uint64(32)
        for i in range(len(a)):
            smallest[i] = min(smallest[i], np.uint32((a[i] * x + b[i]) >> np.uint64(32)))
    for band in range(num_bands):
        hashed = np.uint64(0)
        for row in range(num_rows):
            hashed = _mixed(hashed ^ np.uint64(smallest[band * num_rows + row])) + np.uint64(0x9E3779B97F4A7C15)
        bands[band] = hashed


# ---------------------------------------------------------------------------------------------------------
# Pairs and groups


@numba.njit(cache=True)
def _pairs(rows, starts, sizes, max_bucket):  # type: ignore[no-untyped-def]
    total = 0
    for size in sizes:
        centres = size if size <= max_bucket else min(NUM_CENTRES, size)
        total += centres * size - centres * (centres + 1) // 2
    left, right = np.empty(total, np.uint64), np.empty(total, np.uint64)
    place = 0
    for bucket in range(len(starts)):
        start, size = starts[bucket], sizes[bucket]
        centres = size if size <= max_bucket else min(NUM_CENTRES, size)
        for first in range(centres):
            for second in range(first + 1, size):
                left[place], right[place] = rows[start + first], rows[start + second]
                place += 1
    return left, right


@numba.njit(cache=True)
def _jaccards(values, offsets, left, right, found):  # type: ignore[no-untyped-def]
    for pair in range(len(left)):
        i, i_end = offsets[left[pair]], offsets[left[pair] + 1]
        j, j_end = offsets[right[pair]], offsets[right[pair] + 1]
        either = (i_end - i) + (j_end - j)
        both = 0
        while i < i_end and j < j_end:
            x, y = values[i], values[j]
            both += x == y
            i += x <= y
            j += y <= x
        found[pair] = both / (either - both) if either else 0.0


@numba.njit(cache=True)
def _unite(parents, left, right):  # type: ignore[no-untyped-def]
    for pair in range(len(left)):
        a, b = _root(parents, left[pair]), _root(parents, right[pair])
        if a != b:
            parents[max(a, b)] = min(a, b)
    for row in range(len(parents)):
        parents[row] = parents[parents[row]]  # parents are smaller, so they are final already


@numba.njit(cache=True)
def _root(parents, row):  # type: ignore[no-untyped-def]
    while parents[row] != row:
        parents[row] = parents[parents[row]]
        row = parents[row]
    return row
