"""Layouts of a dataset's files: which draw goes to which file, and a table as that file's exact bytes.

`parquet`   data/train-00000-of-00012.parquet, data/validation-00000-of-00001.parquet
`clusters`  cluster_3/cluster_3_001.parquet, one folder per cluster as in Nemotron-ClimbLab; validation/...
`nanochat`  shard_00000.parquet, ... : one column, `text`, in row groups of 1,024 rows, as nanochat's loader
            reads them: every file but the last in the sorted listing is training, a rank takes every
            world-size-th row group of a file. The other columns lie row by row beside it, in columns/.

A nanochat shard here is a whole number of row groups, and no row is dropped for that: the last row group of
the last training shard is as short as it comes. A file of fewer than 8 x 1,024 rows gets smaller row groups,
so that each of eight ranks has one: a rank without any reads nothing, or for ever. All sizes are levelled,
so there is no small last shard either. The same table and pyarrow give the same bytes.
"""

import binascii
import hashlib
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.digest import content_digest
from pipelines.errors import InputError

Layout = Literal["parquet", "clusters", "nanochat"]
Split = Literal["train", "validation"]
Put = Callable[[str, memoryview], None]  # writes a file, all of it or nothing, under a path inside the dataset

COLUMNS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),  # 32 hex digits; stands once per epoch
        pa.field("text", pa.string(), nullable=False),
        pa.field("token_count", pa.int32(), nullable=False),
        pa.field("cluster_id", pa.int32(), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("licence_id", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
    ]
)
TEXT = pa.schema([COLUMNS.field("text")])
BESIDE = pa.schema([field for field in COLUMNS if field.name != "text"])

NANOCHAT_CHARS = 250_000_000  # in a shard, about 100 MB on disk
NANOCHAT_ROWS = 1024  # in a row group
MIN_ROW_GROUPS = 8  # in a nanochat file: one for each GPU of the usual machine
ROW_GROUP_BYTES = 16 << 20  # text in a row group of the other layouts: what a reader holds at once
MAX_NANOCHAT_SHARDS = 100_000  # five digits; beyond, the sorted listing would not end in the validation shard


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The files of one split and, for each draw in shuffled order, the index of its file in `names`."""

    names: tuple[str, ...]
    shards: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A written file, as the manifest lists it; `tokens` of a nanochat text file are its neighbour's sum."""

    path: str
    split: str
    role: str  # `data`, or `columns` for those beside a nanochat shard
    rows: int
    row_groups: int
    tokens: int
    bytes: int
    sha256: str
    content: str  # digest of the Arrow values, the same from any version of pyarrow
    columns: tuple[str, ...]


def assign_shards(sizes: npt.NDArray[np.integer], shard_size: int, *, group_rows: int = 1) -> npt.NDArray[np.int64]:
    """Shard of each row: ceil(total / shard_size) runs of about equal size, none empty, none left over.

    Rows stay together in groups of `group_rows`; a row or group larger than a shard is one of its own.
    """
    if len(sizes) == 0:
        return np.zeros(0, dtype=np.int64)
    groups = np.add.reduceat(sizes.astype(np.int64), np.arange(0, len(sizes), group_rows))
    total = int(groups.sum())
    count = max(1, min(-(-total // shard_size), len(groups)))
    middles = 2 * np.cumsum(groups) - groups  # doubled, to stay in integers
    bounds = np.array([-(-2 * total * k // count) for k in range(1, count)], dtype=np.int64)
    _, shards = np.unique(np.searchsorted(bounds, middles, side="right"), return_inverse=True)
    return np.repeat(shards.astype(np.int64), group_rows)[: len(sizes)]


def plan_shards(
    layout: Layout,
    split: Split,
    sizes: npt.NDArray[np.integer],
    clusters: npt.NDArray[np.integer],
    shard_size: int,
    *,
    num_before: int = 0,
    starts: Sequence[int] = (),
) -> ShardPlan:
    """Files of a split for draws in shuffled order; `sizes` are bytes of text (characters for nanochat).

    `num_before` is the number of training files, which a nanochat validation shard is numbered after. `starts`: rows
    at which a shard begins whatever its size, as a phase does; a folder for each cluster has no such order.
    """
    if layout == "nanochat":
        return _plan_nanochat(split, sizes, shard_size, num_before, starts)
    if layout == "clusters" and split == "train":
        return _plan_clusters(sizes, clusters, shard_size)
    shards = _assigned(sizes, shard_size, starts)
    count = int(shards[-1]) + 1 if len(shards) else 0
    if layout == "clusters":
        return ShardPlan(tuple(f"validation/validation_{k + 1:03d}.parquet" for k in range(count)), shards)
    return ShardPlan(tuple(f"data/{split}-{k:05d}-of-{count:05d}.parquet" for k in range(count)), shards)


def write_shard(place: Path | Put, name: str, split: Split, table: pa.Table, layout: Layout) -> tuple[ShardFile, ...]:
    """One shard from a table with COLUMNS, in its final order; a nanochat shard is two files.

    `place` is the dataset's folder, where a file appears whole or not at all, or a function that does the
    same for another kind of store.
    """
    put = local_put(place) if isinstance(place, Path) else place
    table = table.select(COLUMNS.names).replace_schema_metadata(None).cast(COLUMNS)
    if layout != "nanochat":
        return (_put_table(put, name, split, "data", table, layout),)
    tokens = int(pc.sum(table["token_count"]).as_py() or 0)
    return (
        _put_table(put, name, split, "data", table.select(TEXT.names), layout, tokens),
        _put_table(put, beside(name), split, "columns", table.select(BESIDE.names), "parquet"),
    )


def encoded(table: pa.Table, layout: Layout) -> memoryview:
    """The table as the bytes of a Parquet file; how it was chunked or sliced before does not show."""
    table = table.combine_chunks()  # pages end at chunk borders
    sink = pa.BufferOutputStream()
    nanochat = layout == "nanochat"
    pq.write_table(
        table,
        sink,
        row_group_size=row_group_rows(layout, table.num_rows, _string_bytes(table)),
        compression="zstd",
        compression_level=3,
        use_dictionary=False if nanochat else _repetitive(table),
        write_statistics=not nanochat,
    )
    return memoryview(sink.getvalue())


def row_group_rows(layout: Layout, num_rows: int, num_bytes: int) -> int:
    """Rows in a row group of a file."""
    if layout == "nanochat":
        return max(1, min(NANOCHAT_ROWS, num_rows // MIN_ROW_GROUPS))
    return max(1, -(-num_rows // max(1, -(-num_bytes // ROW_GROUP_BYTES))))


def beside(name: str) -> str:
    """Where the other columns of a nanochat shard lie: a folder that its loader does not list."""
    return f"columns/{name}"


def local_put(folder: Path) -> Put:
    """Writes below a local folder: unique temporary name, fsync, rename, fsync of the folder."""

    def put(name: str, data: memoryview) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    return put


def hex_ids(ids: pa.Array) -> pa.Array:
    """16-byte ids as 32 hex digits."""
    digits = binascii.hexlify(b"".join(ids.to_pylist()))
    if len(digits) != 32 * len(ids):
        raise ValueError(f"ids are {ids.type}: they must be binary(16)")
    offsets = np.arange(0, 32 * len(ids) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(ids), pa.py_buffer(offsets), pa.py_buffer(digits))


def _assigned(
    sizes: npt.NDArray[np.integer], shard_size: int, starts: Sequence[int], group_rows: int = 1
) -> npt.NDArray[np.int64]:
    """`assign_shards` of every stretch by itself."""
    found, count = [], 0
    for part in np.split(sizes, starts):
        shards = assign_shards(part, shard_size, group_rows=group_rows) + count
        count = int(shards[-1]) + 1 if len(shards) else count
        found.append(shards)
    return np.concatenate(found)


def _plan_nanochat(
    split: Split, sizes: npt.NDArray[np.integer], shard_size: int, num_before: int, starts: Sequence[int]
) -> ShardPlan:
    if split == "train":
        shards = _assigned(sizes, shard_size, starts, NANOCHAT_ROWS)
        count = int(shards[-1]) + 1 if len(shards) else 0
        if count >= MAX_NANOCHAT_SHARDS:
            raise InputError(f"{count} nanochat shards: at most {MAX_NANOCHAT_SHARDS - 1}; raise dataset.shard_bytes")
        return ShardPlan(tuple(f"shard_{k:05d}.parquet" for k in range(count)), shards)
    if len(sizes) == 0:
        raise InputError(
            "no validation document: nanochat would take the last training shard for validation; "
            "raise tokens.validation"
        )
    return ShardPlan((f"shard_{num_before:05d}.parquet",), np.zeros(len(sizes), dtype=np.int64))


def _plan_clusters(sizes: npt.NDArray[np.integer], clusters: npt.NDArray[np.integer], shard_size: int) -> ShardPlan:
    names: list[str] = []
    shards = np.zeros(len(sizes), dtype=np.int64)
    for cluster in np.unique(clusters).tolist():
        rows = np.flatnonzero(clusters == cluster)
        within = assign_shards(sizes[rows], shard_size)
        shards[rows] = within + len(names)
        folder = f"cluster_{cluster}"
        names += [f"{folder}/{folder}_{k + 1:03d}.parquet" for k in range(int(within[-1]) + 1)]
    return ShardPlan(tuple(names), shards)


def _put_table(
    put: Put, path: str, split: Split, role: str, table: pa.Table, layout: Layout, tokens: int = 0
) -> ShardFile:
    data = encoded(table, layout)
    put(path, data)
    if "token_count" in table.column_names:
        tokens = int(pc.sum(table["token_count"]).as_py() or 0)
    return ShardFile(
        path=path,
        split=split,
        role=role,
        rows=table.num_rows,
        row_groups=pq.ParquetFile(pa.BufferReader(data)).num_row_groups,
        tokens=tokens,
        bytes=data.nbytes,
        sha256=hashlib.sha256(data).hexdigest(),
        content=content_digest(table),
        columns=tuple(table.column_names),
    )


def _string_bytes(table: pa.Table) -> int:
    strings = [column for column in table.columns if pa.types.is_string(column.type)]
    return sum(pc.sum(pc.binary_length(column)).as_py() or 0 for column in strings)


def _repetitive(table: pa.Table) -> list[str]:
    """Columns whose values repeat; dictionaries of texts and ids would only grow the file."""
    return [
        name for name in ("cluster_id", "source", "licence", "licence_id", "language") if name in table.column_names
    ]
