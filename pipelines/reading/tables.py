"""Documents as a table, of those that come by the column and of those that come one by one."""

from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.records import DOCUMENTS

MAX_CHUNK_BYTES = 2**31 - 1


class Documents:
    """Tables, and since the last of them rows, with their texts' UTF-8 beside them."""

    def __init__(self) -> None:
        self.num_bytes = 0  # of all texts
        self._tables: list[pa.Table] = []
        self._rows: list[tuple[Any, ...]] = []
        self._texts: list[bytes] = []

    def add(self, row: tuple[Any, ...], text: bytes) -> None:
        """One more, its values in the order of DOCUMENTS."""
        self._rows.append(row)
        self._texts.append(text)
        self.num_bytes += len(text)

    def add_table(self, table: pa.Table, num_bytes: int) -> None:
        """Several more, with `num_bytes` of text."""
        self._flush()
        self._tables.append(table)
        self.num_bytes += num_bytes

    def table(self) -> pa.Table:
        """All of them."""
        self._flush()
        if len(self._tables) == 1:
            return self._tables[0]
        table = pa.concat_tables([DOCUMENTS.empty_table(), *self._tables])
        return table if self.num_bytes > MAX_CHUNK_BYTES else table.combine_chunks()

    def _flush(self) -> None:
        if self._rows:
            self._tables.append(table_of(self._rows, DOCUMENTS, text=_column(self._texts)))
            self._rows, self._texts = [], []


def table_of(rows: list[tuple[Any, ...]], schema: pa.Schema, **last: pa.ChunkedArray) -> pa.Table:
    """Rows in the schema's order, and after them the columns that come whole."""
    fields = list(schema)[: len(schema) - len(last)]
    arrays = {field.name: pa.array([row[at] for row in rows], field.type) for at, field in enumerate(fields)}
    return pa.table({**arrays, **last}, schema=schema)


def _column(texts: list[bytes]) -> pa.ChunkedArray:
    """The texts; in chunks where they are too long for 32-bit offsets."""
    offsets, data = np.cumsum([0, *map(len, texts)], dtype=np.int64), pa.py_buffer(b"".join(texts))
    chunks, start = [], 0
    while start < len(texts):
        stop = int(np.searchsorted(offsets, offsets[start] + MAX_CHUNK_BYTES, "right")) - 1
        within = pa.py_buffer((offsets[start : stop + 1] - offsets[start]).astype(np.int32))
        chunks.append(pa.Array.from_buffers(pa.string(), stop - start, [None, within, data.slice(int(offsets[start]))]))
        start = stop
    return pa.chunked_array(chunks, pa.string())
