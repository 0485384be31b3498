"""Shards: levelled sizes, the three layouts read back by four readers, the same bytes from the same rows."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_dataset import documents, make, raw_ids

from mixer.export.selection import select
from mixer.export.shards import (
    COLUMNS,
    NANOCHAT_ROWS,
    Layout,
    assign_shards,
    encoded,
    hex_ids,
    local_put,
    plan_shards,
    row_group_rows,
    write_shard,
)
from pipelines.errors import InputError

LAYOUTS: tuple[Layout, ...] = ("parquet", "clusters", "nanochat")


# ---------------------------------------------------------------------------------------------------------
# Which row goes where


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 1000), max_size=80), st.integers(1, 3000), st.sampled_from([1, 4, 16]))
def test_shards_are_level_runs_and_none_is_empty(sizes: list[int], shard_size: int, group_rows: int) -> None:
    shards = assign_shards(np.array(sizes, dtype=np.int64), shard_size, group_rows=group_rows)
    assert len(shards) == len(sizes)
    if not sizes:
        return
    assert shards[0] == 0
    assert set(np.diff(shards)) <= {0, 1}
    count = int(shards[-1]) + 1
    assert count <= max(1, -(-sum(sizes) // shard_size))
    held = np.bincount(shards)
    assert (held[:-1] % group_rows == 0).all()
    groups = [sum(sizes[k : k + group_rows]) for k in range(0, len(sizes), group_rows)]
    wanted = -(-sum(sizes) // shard_size)
    if wanted <= len(groups) and count == wanted:
        for shard in range(count):
            total = sum(size for size, where in zip(sizes, shards, strict=True) if where == shard)
            assert abs(total - sum(sizes) / count) <= max(groups) + 1e-9


def test_shards_of_equal_rows_differ_by_one_row() -> None:
    held = np.bincount(assign_shards(np.full(1003, 7), 7 * 100))
    assert len(held) == 11
    assert held.max() - held.min() <= 1


def test_totals_beyond_32_bits_and_rows_larger_than_a_shard() -> None:
    sizes = np.array([5, 10**13, 5, 10**13, 5])
    assert assign_shards(sizes, 10**12).tolist() == [0, 1, 2, 3, 4]
    assert assign_shards(np.array([100, 1, 1]), 10).tolist() == [0, 1, 1]
    assert assign_shards(np.full(4, 2**31 - 1, dtype=np.int32), 2**32).tolist() == [0, 0, 1, 1]


def test_names() -> None:
    sizes, clusters = np.full(6, 10), np.array([2, 0, 2, 2, 0, 2])
    plan = plan_shards("parquet", "train", sizes, clusters, 20)
    assert plan.names == tuple(f"data/train-0000{k}-of-00003.parquet" for k in range(3))
    assert plan.shards.tolist() == [0, 0, 1, 1, 2, 2]
    plan = plan_shards("clusters", "train", sizes, clusters, 20)
    assert plan.names == (
        "cluster_0/cluster_0_001.parquet",
        "cluster_2/cluster_2_001.parquet",
        "cluster_2/cluster_2_002.parquet",
    )
    assert plan.shards.tolist() == [1, 0, 1, 2, 0, 2]
    assert plan_shards("clusters", "validation", sizes[:2], clusters, 20).names == (
        "validation/validation_001.parquet",
    )
    plan = plan_shards("nanochat", "validation", sizes, clusters, 20, num_before=4)
    assert (plan.names, set(plan.shards.tolist())) == (("shard_00004.parquet",), {0})
    assert plan_shards("parquet", "train", sizes[:0], clusters[:0], 20).names == ()


def test_nanochat_needs_validation() -> None:
    with pytest.raises(InputError, match=r"raise tokens\.validation"):
        plan_shards("nanochat", "validation", np.zeros(0, int), np.zeros(0, int), 20, num_before=3)


def test_nanochat_shards_are_whole_row_groups_but_the_last() -> None:
    plan = plan_shards("nanochat", "train", np.full(50_000, 3000), np.zeros(50_000, int), 40_000_000)
    held = np.bincount(plan.shards)
    assert held.sum() == 50_000
    assert len(held) == 4
    assert (held[:-1] % NANOCHAT_ROWS == 0).all()
    assert held[-1] % NANOCHAT_ROWS
    assert held.min() > 0.9 * held.max()


@given(st.integers(1, 100_000))
def test_eight_ranks_each_have_a_row_group(rows: int) -> None:
    size = row_group_rows("nanochat", rows, 0)
    assert size <= NANOCHAT_ROWS
    assert -(-rows // size) >= min(8, rows)
    assert size == NANOCHAT_ROWS or rows < 8 * NANOCHAT_ROWS


# ---------------------------------------------------------------------------------------------------------
# Bytes


def test_the_same_rows_give_the_same_bytes_however_they_were_chunked() -> None:
    # Below about a megabyte, one page, chunks leave no trace even without care.
    table = documents(20_000).combine_chunks()
    texts = pa.array([20 * text for text in table["text"].to_pylist()])
    table = table.set_column(1, table.schema.field("text"), texts)
    chunked = pa.concat_tables([table.slice(k, 700) for k in range(0, table.num_rows, 700)])
    sliced = pa.concat_tables([table, table]).combine_chunks().slice(table.num_rows)
    for layout in LAYOUTS:
        assert bytes(encoded(chunked, layout)) == bytes(encoded(table, layout)) == bytes(encoded(sliced, layout))


def test_nanochat_files_are_as_its_repackaging_writes_them(tmp_path: Path) -> None:
    write_shard(tmp_path, "shard_00000.parquet", "train", documents(9 * NANOCHAT_ROWS + 5), "nanochat")
    file = pq.ParquetFile(tmp_path / "shard_00000.parquet")
    assert file.schema_arrow.names == ["text"]
    groups = [file.metadata.row_group(k) for k in range(file.num_row_groups)]
    assert [group.num_rows for group in groups] == [NANOCHAT_ROWS] * 9 + [5]
    for group in groups:
        column = group.column(0)
        assert column.compression == "ZSTD"
        assert not column.has_dictionary_page
        assert not column.is_stats_set
        assert column.physical_type == "BYTE_ARRAY"


def test_what_is_said_of_a_shard_is_true_and_written_by_either_place(tmp_path: Path) -> None:
    stored: dict[str, bytes] = {}
    table = documents(100)
    for layout in LAYOUTS:
        local = write_shard(tmp_path / layout, "data/a.parquet", "train", table, layout)
        remote = write_shard(
            lambda name, data: stored.update({name: bytes(data)}), "data/a.parquet", "train", table, layout
        )
        assert local == remote
        for file in local:
            data = (tmp_path / layout / file.path).read_bytes()
            assert stored[file.path] == data
            assert (file.bytes, file.rows) == (len(data), 100)
            assert file.tokens == sum(table["token_count"].to_pylist())
            assert pq.read_schema(pa.BufferReader(data)).names == list(file.columns)


def test_a_failed_write_leaves_nothing_and_a_repeated_one_replaces(tmp_path: Path, monkeypatch) -> None:
    put = local_put(tmp_path)
    put("a/b.bin", memoryview(b"old"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(OSError("disk full")))
        with pytest.raises(OSError, match="disk full"):
            put("a/b.bin", memoryview(b"new"))
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.bin"]
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"old"
    put("a/b.bin", memoryview(b"new"))
    assert (tmp_path / "a" / "b.bin").read_bytes() == b"new"


def test_rows_that_do_not_fit_the_columns_are_refused(tmp_path: Path) -> None:
    broken = documents(3).set_column(1, "text", pa.array(["a", None, "c"]))
    with pytest.raises((ValueError, pa.ArrowInvalid)):
        write_shard(tmp_path, "a.parquet", "train", broken, "parquet")
    assert not list(tmp_path.rglob("*"))
    large = documents(3).set_column(1, "text", pa.array(["a", "b", "c"], pa.large_string()))
    assert write_shard(tmp_path, "a.parquet", "train", large, "parquet")[0].rows == 3


def test_hex_ids() -> None:
    raw = [bytes(range(16)), b"\xff" * 16]
    assert hex_ids(pa.array(raw, pa.binary(16))).to_pylist() == [value.hex() for value in raw]
    assert hex_ids(pa.array([], pa.binary(16))).to_pylist() == []
    assert hex_ids(pa.array(raw, pa.binary(16)).slice(1)).to_pylist() == ["ff" * 16]
    with pytest.raises(ValueError, match="binary"):
        hex_ids(pa.array([b"short"]))


# ---------------------------------------------------------------------------------------------------------
# Read back


@pytest.fixture(scope="module", params=LAYOUTS)
def dataset(request, tmp_path_factory) -> tuple[Path, Layout, dict, pa.Table]:
    """A written dataset and the training rows that must be in it, in their order."""
    folder = tmp_path_factory.mktemp(request.param)
    train = documents(3000)
    manifest = make(folder, request.param, train=train, shard_size=150_000, max_epochs=2.5)
    selection = select(
        raw_ids(train), train["cluster_id"].to_numpy(), train["token_count"].to_numpy(), (0.6, 0.3, 0.1),
        budget=0, max_epochs=2.5, seed=7,
    )  # fmt: skip
    return folder, request.param, manifest, train.take(pa.array(selection.rows))


def in_order(rows: pa.Table, layout: Layout) -> list[str]:
    """The texts as the files of the layout hold them one after the other."""
    if layout == "clusters":
        rows = rows.take(pa.array(np.argsort(rows["cluster_id"].to_numpy(), kind="stable")))
    return rows["text"].to_pylist()


def test_pyarrow_and_polars_read_the_rows_back(dataset) -> None:
    folder, layout, manifest, rows = dataset
    paths = [str(folder / path) for path in manifest["splits"]["train"]["files"]]
    assert len(paths) > 1
    assert pyarrow.dataset.dataset(paths).to_table()["text"].to_pylist() == in_order(rows, layout)
    frame = pl.read_parquet(paths)
    assert frame["text"].to_list() == in_order(rows, layout)
    if layout != "nanochat":
        assert frame.columns == COLUMNS.names
        assert frame["token_count"].sum() == manifest["splits"]["train"]["tokens"]
    else:
        columns = pl.read_parquet([str(folder / "columns" / Path(path).name) for path in paths])
        assert columns["id"].to_list() == rows["id"].to_pylist()


def test_datasets_reads_splits_by_the_card(dataset, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder, layout, manifest, rows = dataset
    datasets.disable_progress_bars()
    read = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    assert {split: len(read[split]) for split in read} == {
        split: manifest["splits"][split]["rows"] for split in ("train", "validation")
    }
    assert list(read["train"]["text"]) == in_order(rows, layout)
    assert list(read["validation"]["text"]) == documents(30, name="v")["text"].to_pylist()
    if layout == "clusters":
        one = datasets.load_dataset(str(folder), "cluster_2", split="train", cache_dir=str(tmp_path))
        assert set(one["cluster_id"]) == {2}


def nanochat_texts(folder: Path, split: str, rank: int, world: int) -> Iterator[str]:
    """One pass of nanochat's loader: sorted listing, last file is validation, every world-th row group."""
    names = sorted(name for name in os.listdir(folder) if name.endswith(".parquet"))
    for name in names[:-1] if split == "train" else names[-1:]:
        file = pq.ParquetFile(folder / name)
        for group in range(rank, file.num_row_groups, world):
            yield from file.read_row_group(group).column("text").to_pylist()


@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_nanochat_sees_every_row_once_from_any_number_of_ranks(tmp_path: Path, world: int) -> None:
    train = documents(3000)
    manifest = make(tmp_path, "nanochat", train=train, shard_size=150_000, max_epochs=1, weights=(1, 1, 1))
    for split, table in (("train", train), ("validation", documents(30, name="v"))):
        ranks = [list(nanochat_texts(tmp_path, split, rank, world)) for rank in range(world)]
        assert all(ranks), "a rank without rows would wait for ever"
        seen = [text for rank in ranks for text in rank]
        assert len(seen) == len(set(seen)) == manifest["splits"][split]["rows"]
        assert set(seen) <= set(table["text"].to_pylist())
    assert len(manifest["splits"]["train"]["files"]) > 1


def test_layouts_hold_the_same_rows(tmp_path: Path) -> None:
    held = {}
    for layout in LAYOUTS:
        manifest = make(tmp_path / layout, layout)
        paths = [tmp_path / layout / path for path in manifest["splits"]["train"]["files"]]
        held[layout] = sorted(text for path in paths for text in pq.read_table(path)["text"].to_pylist())
    assert held["parquet"] == held["clusters"] == held["nanochat"]
