"""Rows of many parts, each as one number of 64 bits: the part's ordinal above, the row below."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

ROW_BITS = 32

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


def numbered(rows: npt.NDArray[np.integer], ordinal: int) -> U64:
    """The numbers of a part's rows."""
    return rows.astype(np.uint64) | np.uint64(ordinal << ROW_BITS)


def ordinals(numbers: U64) -> I64:
    """The part of each."""
    return (numbers >> np.uint64(ROW_BITS)).astype(np.int64)


def places(numbers: U64) -> I64:
    """The place of each within its part."""
    return (numbers & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64)


def of_part(numbers: U64, ordinal: int) -> slice:
    """Where those of a part lie among numbers that ascend."""
    bounds = np.array([ordinal << ROW_BITS, (ordinal + 1) << ROW_BITS], np.uint64)
    return slice(*np.searchsorted(numbers, bounds).tolist())


def index_of(places: I64, num_rows: int) -> pa.Array:
    """For each row of a part its index among these places, null where it is none of them: what `take` takes."""
    found = np.full(num_rows, -1, np.int64)
    found[places] = np.arange(len(places))
    return pa.array(found, mask=found < 0)
