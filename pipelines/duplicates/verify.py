"""Who keeps and who is dropped among rows that share a bucket: verified by exact Jaccard, each against its keeper.

Rows are taken in keeper order. A row is dropped if one that is kept already shares a bucket with it and is at least
`threshold` similar; its keeper is the first such row. So every dropped row is similar to a row that stays, no two
kept rows of a bucket are similar, and nothing is joined through a third row: union-find of the same pairs drops
whole sources along chains of pages that each resemble the next. What a row becomes depends on earlier rows alone,
so crawls one after the other end as all of them at once.

Comparing with kept rows only is also what bounds the work: copies of one text meet one row, however many they are.
What is left is large buckets of rows that are not similar, pages of one template. Rows of a bucket of more than
`SMALL` find each other through an index of their rarest shingles instead (prefix filtering, Bayardo, Ma and Srikant
2007; Xiao et al. 2008): sets with Jaccard similarity t share one of their |x| - ceil(t |x|) + 1 first shingles in
any common order, so none is missed. A row stops after `MAX_COMPARED` sets or `MAX_STEPS` entries of the index, rarest
shingles first, except that it meets every target; how many rows stopped is counted.
"""

import mmap
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from pipelines.duplicates.sources import Bools

SMALL = 64  # rows of a bucket that are compared without the index
MAX_COMPARED = 512
MAX_STEPS = 16_384
MAX_INDEX_BITS = 26
PAGE = 4096
COMPARED, CAPPED, ENTRIES = range(3)  # what the sweep counts

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Sets:
    """Shingle sets in one array: that of row i is sorted, at `values[starts[i] : starts[i] + lengths[i]]`."""

    values: U64  # in memory, or mapped from a file
    starts: I64
    lengths: I64


@dataclass(frozen=True)
class Kept:
    """For each row its keeper, itself where it is kept; pairs compared; rows that were not compared with all."""

    keepers: I32
    compared: int
    capped: int


def kept(
    sets: Sets,
    members: I64,
    offsets: I64,
    *,
    fixed: Bools,
    held: Bools,
    threshold: float,
    memory_bytes: int = 1 << 30,
) -> Kept:
    """Rows 0 .. n - 1 are in keeper order; bucket b holds `members[offsets[b] : offsets[b + 1]]`.

    `fixed` rows (of targets and older crawls) are kept whatever they resemble; `held` ones are those of targets.
    Pages of a mapped file that were read are let go so that about `memory_bytes` of them stay.
    """
    num_rows, sizes = len(sets.starts), np.diff(offsets)
    # with threshold 0 every pair is similar, and no shingle need be shared
    large = sizes > SMALL if threshold > 0 else np.zeros(len(sizes), bool)
    indexed = np.zeros(num_rows, bool)
    indexed[members[np.repeat(large, sizes)]] = True
    total = _total_rare(sets.lengths[indexed], threshold)
    size = 1 << min(MAX_INDEX_BITS, max(10, total.bit_length()))
    counts = np.zeros(size, np.uint32)
    index = _Index(np.full(size, -1, np.int32), np.full(size, -1, np.int32), *np.empty((2, total), np.int32))
    buckets = _Buckets(*_by_row(members, sizes, num_rows), offsets, large, np.empty_like(members), np.zeros_like(sizes))
    rows = _Rows(fixed, held, indexed, np.arange(num_rows, dtype=np.int32), np.full(num_rows, -1, np.int32))
    told = np.zeros(3, np.int64)
    pieces = _pieces(sets.lengths, memory_bytes)
    given = (np.asarray(sets.values), sets.starts, sets.lengths, counts)
    for begin, end in pieces:
        _count(begin, end, given, indexed)
        _let_go(sets.values)
    for begin, end in pieces:
        _sweep(begin, end, given, buckets, rows, index, np.float32(threshold), told)
        _let_go(sets.values)
    return Kept(rows.keepers, int(told[COMPARED]), int(told[CAPPED]))


# ---------------------------------------------------------------------------------------------------------
# What the sweep goes over


class _Buckets(NamedTuple):
    row_offsets: I64  # the buckets of row i: row_buckets[row_offsets[i] : row_offsets[i + 1]], ascending
    row_buckets: I32
    offsets: I64
    large: Bools
    kept: I64  # the kept rows of bucket b so far: kept[offsets[b] : offsets[b] + num_kept[b]], ascending
    num_kept: I64


class _Rows(NamedTuple):
    fixed: Bools
    held: Bools
    indexed: Bools
    keepers: I32
    seen: I32  # the last row that was compared with this one


class _Index(NamedTuple):
    """Chains of kept rows by shingle, oldest first; shingles of one slot share a chain, which costs a comparison."""

    first: I32
    last: I32
    row: I32
    following: I32


def _by_row(members: I64, sizes: I64, num_rows: int) -> tuple[I64, I32]:
    order = np.argsort(members, kind="stable")
    numbers = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)[order]
    return np.searchsorted(members[order], np.arange(num_rows + 1)), numbers


def _pieces(lengths: I64, memory_bytes: int) -> list[tuple[int, int]]:
    """Runs of rows whose sets take a quarter of the memory; a page at least is read of each."""
    taken = np.cumsum(np.maximum(8 * lengths, PAGE)) // max(PAGE, memory_bytes // 4)
    bounds = [0, *(np.flatnonzero(np.diff(taken)) + 1).tolist(), len(lengths)]
    return list(pairwise(bounds))


def _let_go(values: U64) -> None:
    """Take the pages of a mapped file off this process; those read again come from the file."""
    if isinstance(values, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
        values._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------------------------------------
# Compiled


@numba.njit(cache=True)
def _count(begin, end, sets, indexed):  # type: ignore[no-untyped-def]
    """How many indexed rows hold the shingles of each slot: the order of rarity, for which about is enough."""
    values, starts, lengths, counts = sets
    mask = np.uint64(len(counts) - 1)
    for row in range(begin, end):
        if indexed[row]:
            for place in range(starts[row], starts[row] + lengths[row]):
                counts[values[place] & mask] += np.uint32(1)


@numba.njit(cache=True)
def _sweep(begin, end, sets, buckets, rows, index, threshold, told):  # type: ignore[no-untyped-def]
    values, starts, lengths, counts = sets
    for row in range(begin, end):
        slots = np.empty(0, np.int64)
        if rows.indexed[row]:
            shingles = values[starts[row] : starts[row] + lengths[row]]
            slots = _rarest(shingles, counts, _num_rare(lengths[row], threshold))
        if not rows.fixed[row]:
            best = _among_small(row, sets, buckets, rows, threshold, told)
            if rows.indexed[row]:
                best = _among_large(row, best, slots, sets, buckets, rows, index, threshold, told)
            if best >= 0:
                rows.keepers[row] = best
                continue
        for place in range(buckets.row_offsets[row], buckets.row_offsets[row + 1]):
            bucket = buckets.row_buckets[place]
            buckets.kept[buckets.offsets[bucket] + buckets.num_kept[bucket]] = row
            buckets.num_kept[bucket] += 1
        _enter(row, slots, index, told)


@numba.njit(cache=True)
def _among_small(row, sets, buckets, rows, threshold, told):  # type: ignore[no-untyped-def]
    """The first kept row of the small buckets that is similar; -1 if none."""
    best = -1
    for place in range(buckets.row_offsets[row], buckets.row_offsets[row + 1]):
        bucket = buckets.row_buckets[place]
        if buckets.large[bucket]:
            continue
        first = buckets.offsets[bucket]
        for other in buckets.kept[first : first + buckets.num_kept[bucket]]:
            if best >= 0 and other >= best:
                break
            if rows.seen[other] == row:
                continue
            rows.seen[other] = row
            told[COMPARED] += 1
            if _similar(row, other, sets, threshold):
                best = other
                break
    return best


@numba.njit(cache=True)
def _among_large(row, best, slots, sets, buckets, rows, index, threshold, told):  # type: ignore[no-untyped-def]
    """`best`, or an earlier kept row of the large buckets that is similar."""
    compared, steps, stopped = 0, 0, False
    for slot in slots:
        entry = index.first[slot]
        while entry >= 0:
            other = index.row[entry]
            entry = index.following[entry]
            if best >= 0 and other >= best:
                break  # chains ascend
            if not rows.held[other]:
                if compared >= MAX_COMPARED or steps >= MAX_STEPS:
                    stopped = True
                    break  # targets come first
                steps += 1
            if rows.seen[other] == row or not _share_large(row, other, buckets):
                continue
            rows.seen[other] = row
            compared += not rows.held[other]
            told[COMPARED] += 1
            if _similar(row, other, sets, threshold):
                best = other
                break
    told[CAPPED] += stopped and best < 0
    return best


@numba.njit(cache=True)
def _share_large(row, other, buckets):  # type: ignore[no-untyped-def]
    i, i_end = buckets.row_offsets[row], buckets.row_offsets[row + 1]
    j, j_end = buckets.row_offsets[other], buckets.row_offsets[other + 1]
    while i < i_end and j < j_end:
        x, y = buckets.row_buckets[i], buckets.row_buckets[j]
        if x == y and buckets.large[x]:
            return True
        i += x <= y
        j += y <= x
    return False


@numba.njit(cache=True)
def _enter(row, slots, index, told):  # type: ignore[no-untyped-def]
    for slot in slots:
        entry = told[ENTRIES]
        told[ENTRIES] += 1
        index.row[entry], index.following[entry] = row, -1
        if index.first[slot] < 0:
            index.first[slot] = entry
        else:
            index.following[index.last[slot]] = entry
        index.last[slot] = entry


@numba.njit(cache=True)
def _num_rare(length, threshold):  # type: ignore[no-untyped-def]
    """How many of a set's first shingles, in any common order, hold one of each similar set's."""
    least = max(1, int(np.ceil((threshold - 1e-6) * length)))
    return max(0, length - least + 1)


@numba.njit(cache=True)
def _total_rare(lengths, threshold):  # type: ignore[no-untyped-def]
    total = 0
    for length in lengths:
        total += _num_rare(length, threshold)
    return total


@numba.njit(cache=True)
def _rarest(shingles, counts, wanted):  # type: ignore[no-untyped-def]
    """The slots of the first `wanted` shingles by rarity, then by value."""
    mask = np.uint64(len(counts) - 1)
    keys = np.empty(len(shingles), np.uint64)
    for place, shingle in enumerate(shingles):
        keys[place] = (np.uint64(counts[shingle & mask]) << np.uint64(36)) | (shingle >> np.uint64(28))
    found = np.empty(wanted, np.int64)
    for place, at in enumerate(np.argsort(keys)[:wanted]):
        found[place] = shingles[at] & mask
    return found


@numba.njit(cache=True)
def _similar(row, other, sets, threshold):  # type: ignore[no-untyped-def]
    """Whether the exact Jaccard similarity, as float32, is at least the threshold."""
    values, starts, lengths, _ = sets
    total = lengths[row] + lengths[other]
    if total == 0:
        return threshold <= 0
    needed = _needed(total, threshold)
    if needed > min(lengths[row], lengths[other]):
        return False
    i, j, both = starts[row], starts[other], 0
    i_end, j_end = i + lengths[row], j + lengths[other]
    while i < i_end and j < j_end:
        if both + min(i_end - i, j_end - j) < needed:
            return False
        x, y = values[i], values[j]
        both += x == y
        i += x <= y
        j += y <= x
    return both >= needed


@numba.njit(cache=True)
def _needed(total, threshold):  # type: ignore[no-untyped-def]
    """The fewest common shingles with which two sets of `total` shingles together are similar."""
    both = max(0, int(threshold / (1 + threshold) * total) - 1)
    while both < total and np.float32(both / max(1, total - both)) < threshold:
        both += 1
    return both
