"""Parquet files to batches of rows that, with the lost bytes, tile the file.

Fields are those of JSON lines (pipelines/reading/json_lines.py). The bytes of a row group are divided evenly among
its rows, since columns have no place for a row; a damaged row group is lost from the damage on, the next one is read.
"""

from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.errors import InputError
from pipelines.reading.batches import I64, TOLD, Batch, Item, from_values, since, told_string
from pipelines.reading.framed import Framed, Lost
from pipelines.text.vocabulary import utf8

BATCH_ROWS = 1000
MAX_BATCH_BYTES = 1 << 30


def read_parquet(file: Any, *, name: str, size: int, max_record_bytes: int, offset: int = 0) -> Iterator[Item]:
    """One record a row; a file whose footer cannot be read is lost whole.

    Raises InputError where there is no column `text` of strings.
    """
    try:
        parquet = pq.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the file system's trouble, not the file's
        yield Lost(offset, size, "damaged")
        return
    columns = _columns(parquet.schema_arrow, name)
    groups = _group_spans(parquet.metadata, size)
    if not groups and offset == 0:
        yield Framed(0, size, drop="empty_member")
    for group, num_rows, start, end in groups:
        if end > offset:
            yield from since(offset, _group(parquet, group, num_rows, start, end, columns, max_record_bytes))


def _columns(schema: pa.Schema, name: str) -> list[str]:
    found = schema.names
    if "text" not in found:
        raise InputError(
            f"{name} has no column `text`, only {', '.join(found) or 'no column at all'}; "
            "rename the column that holds the documents"
        )
    kind = schema.field("text").type
    if not _is_string(kind):
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        raise InputError(f"{name}: column `text` holds {kind}, not strings; cast it to string")
    return [column for column in (*TOLD, "text") if column in found]


def _group_spans(metadata: Any, size: int) -> list[tuple[int, int, int, int]]:
    """(row group, rows, start, end) of the groups with rows, tiling the file by where their data starts."""
    groups = [g for g in range(metadata.num_row_groups) if metadata.row_group(g).num_rows]
    starts = [_group_start(metadata.row_group(group)) for group in groups]
    bounds = [0, *starts[1:], size]
    if any(left >= right for left, right in pairwise(bounds)):  # stored out of order
        bounds = [size * index // len(groups) for index in range(len(groups) + 1)]
    return [
        (group, metadata.row_group(group).num_rows, bounds[index], bounds[index + 1])
        for index, group in enumerate(groups)
    ]


def _group_start(group: Any) -> int:
    chunks = [group.column(index) for index in range(group.num_columns)]
    pages = [chunk.data_page_offset for chunk in chunks]
    dictionaries = [chunk.dictionary_page_offset for chunk in chunks if chunk.dictionary_page_offset]
    return int(min(pages + dictionaries))


def _group(
    parquet: pq.ParquetFile, group: int, num_rows: int, start: int, end: int, columns: list[str], limit: int
) -> Iterator[Item]:
    row, position = 0, start
    try:
        for batch in parquet.iter_batches(batch_size=BATCH_ROWS, row_groups=[group], columns=columns):
            for part in _small(batch):
                bounds = [start + (end - start) * at // num_rows for at in range(row, row + len(part) + 1)]
                yield _table_batch(part, np.array(bounds, np.int64), limit)
                row += len(part)
                position = bounds[-1]
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
    if position < end:
        yield Lost(position, end, "damaged")


def _small(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Pieces whose texts 32-bit offsets can tell."""
    if batch.nbytes <= MAX_BATCH_BYTES or len(batch) == 1:
        yield batch
        return
    half = len(batch) // 2
    yield from _small(batch.slice(0, half))
    yield from _small(batch.slice(half))


def _table_batch(batch: pa.RecordBatch, bounds: I64, limit: int) -> Batch:
    """Rows of a table; UnicodeDecodeError where a string is none."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        batch.to_pylist()
    values = cache(batch.to_pylist)

    def framed(row: int) -> Framed:
        record = from_values(values()[row])
        if record.text and len(record.text.encode("utf-8", "replace")) > limit:
            record.text, record.drop = None, "too_large"
        return record

    told = {name: _strings(batch, name) for name in TOLD}
    licence = pc.if_else(pc.equal(told["licence"], ""), told.pop("license"), told["licence"])
    data, offsets = utf8(batch["text"].cast(pa.large_string()))
    sizes = np.diff(offsets)
    plain = (sizes > 0) & (sizes <= limit)
    for name in ("licence", "license"):
        if name in batch.schema.names and not _is_string(batch.schema.field(name).type):
            plain[:] = False  # what is no string may be false
    return Batch(bounds, plain, {**told, "licence": licence}, data, offsets[:-1], offsets[1:], framed)


def _strings(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column as `told_string` gives its values."""
    if name not in batch.schema.names:
        return pa.repeat("", len(batch))
    column = batch[name]
    if _is_string(column.type) or pa.types.is_integer(column.type):
        return pc.fill_null(column.cast(pa.string()), "")
    return pa.array([told_string(value) for value in column.to_pylist()], pa.string())


def _is_string(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind))
