"""Vectors as a column of a table, and back."""

import numpy as np
import pyarrow as pa


def vector_column(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """float16 [n, d] as a column without nulls: pyarrow cannot read nullable fixed-size lists back."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """The [n, d] array of a vector column."""
    array = column.combine_chunks()
    return np.asarray(array.flatten()).reshape(len(array), array.type.list_size)
