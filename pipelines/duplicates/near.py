"""Which vectors of one cluster are near to another that is kept, in keeper order.

A block of rows meets the kept ones block by block. float32 products choose the pairs that may be near enough within
their rounding error, which are then measured in float64, term after term: so neither blocks nor workers nor a BLAS
change a bit of the answer.
"""

import tempfile
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

MIN_BLOCK, MAX_BLOCK = 64, 4096
ROUNDING = 2.0**-24  # of float32

Floats = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]


def near_kept(
    vectors: Any, num_fixed: int, threshold: float, *, memory_bytes: int, scratch: Path
) -> tuple[I64, Floats]:
    """(keeper, similarity) of each of the vectors [n, d], in keeper order; keeper -1 and similarity 0 of kept ones.

    The first `num_fixed` are kept whatever they are like. `vectors[a:b]` gives float32 [b - a, d]; no more than
    about `memory_bytes` of them are held at once, the kept ones lie in a file in `scratch`.
    """
    num_rows, width = vectors.shape
    block = _block(width, memory_bytes)
    keeper, similarity = np.full(num_rows, -1, np.int64), np.zeros(num_rows, np.float64)
    kept = np.empty(num_rows, np.int64)
    num_kept = 0
    with tempfile.NamedTemporaryFile(dir=scratch) as file:
        store = np.memmap(file, np.float32, "w+", shape=(num_rows, width))
        for begin in range(0, num_rows, block):
            mine = np.ascontiguousarray(vectors[begin : begin + block], np.float32)
            numbers = np.arange(begin, begin + len(mine))
            judged = np.flatnonzero(numbers >= num_fixed)
            for first in range(0, num_kept if len(judged) else 0, block):
                others = np.array(store[first : min(first + block, num_kept)])
                _nearest(mine, others, mine @ others.T, judged, kept[first:], threshold, numbers, keeper, similarity)
            stays = _among_themselves(mine, mine @ mine.T, judged, threshold, numbers, keeper, similarity)
            count = int(stays.sum())
            store[num_kept : num_kept + count] = mine[stays]
            kept[num_kept : num_kept + count] = numbers[stays]
            num_kept += count
    return keeper, similarity.astype(np.float32)


def _block(width: int, memory_bytes: int) -> int:
    """Rows: two blocks, their products and a copy of one while it is read take 4 b (3 d + 2 b) bytes."""
    block = MIN_BLOCK
    while block < MAX_BLOCK and 4 * 2 * block * (3 * width + 2 * 2 * block) <= memory_bytes:
        block *= 2
    return block


@numba.njit(cache=True)
def _nearest(mine, others, rough, judged, kept, threshold, numbers, keeper, similarity):  # type: ignore[no-untyped-def]
    """Note for each judged row the most similar of the kept ones, the first of those that are equally so."""
    lengths, other_lengths = _lengths(mine), _lengths(others)
    for row in judged:
        for other in range(len(others)):
            both = lengths[row] * other_lengths[other]
            if _may_reach(rough[row, other], both, threshold, mine.shape[1]):
                near = _cosine(mine[row], others[other], both)
                if near >= threshold and near > similarity[numbers[row]]:
                    similarity[numbers[row]], keeper[numbers[row]] = near, kept[other]


@numba.njit(cache=True)
def _among_themselves(mine, rough, judged, threshold, numbers, keeper, similarity):  # type: ignore[no-untyped-def]
    """bool [rows]: which of a block's rows stay, once it has been held against all rows before it."""
    lengths = _lengths(mine)
    stays = np.ones(len(mine), np.bool_)
    for row in judged:
        for other in range(row):
            both = lengths[row] * lengths[other]
            if stays[other] and _may_reach(rough[row, other], both, threshold, mine.shape[1]):
                near = _cosine(mine[row], mine[other], both)
                if near >= threshold and near > similarity[numbers[row]]:
                    similarity[numbers[row]], keeper[numbers[row]] = near, numbers[other]
        stays[row] = keeper[numbers[row]] < 0
    return stays


@numba.njit(cache=True)
def _may_reach(rough, both, threshold, width):  # type: ignore[no-untyped-def]
    """Whether the cosine may be `threshold`: a product of float32 is off by at most `width` roundings of `both`."""
    return both > 0 and rough >= (threshold - 2 * (width + 2) * ROUNDING) * both


@numba.njit(cache=True)
def _cosine(one, other, both):  # type: ignore[no-untyped-def]
    summed = 0.0
    for place in range(len(one)):
        summed += np.float64(one[place]) * np.float64(other[place])
    return min(1.0, summed / both)


@numba.njit(cache=True)
def _lengths(vectors):  # type: ignore[no-untyped-def]
    found = np.empty(len(vectors), np.float64)
    for row in range(len(vectors)):
        squares = 0.0
        for value in vectors[row]:
            squares += np.float64(value) * np.float64(value)
        found[row] = np.sqrt(squares)
    return found
