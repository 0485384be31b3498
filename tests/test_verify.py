"""Verify: a written dataset has no problem, and every kind of damage is named."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_dataset import documents, make, store

from mixer.export import manifest as manifests
from mixer.export.selection import unseen
from mixer.export.shards import Layout
from mixer.export.verify import Problem, verify

LAYOUTS: tuple[Layout, ...] = ("parquet", "clusters", "nanochat")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, Path]:
    """A good dataset of each layout; tests damage copies."""
    folders = {layout: tmp_path_factory.mktemp(layout) / "set" for layout in LAYOUTS}
    for layout, folder in folders.items():
        make(folder, layout, num=2500, shard_size=150_000)
    return folders


@pytest.fixture
def copied(whole: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    return lambda layout: Path(shutil.copytree(whole[layout], tmp_path / layout))


def texts(problems: list[Problem]) -> str:
    return "\n".join(f"{problem.path}: {problem.text}" for problem in problems)


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_bytes())


def restate(folder: Path, **changes: Any) -> None:
    """The manifest with other values, and a digest to match: a mistake of the writer, not of the disk."""
    manifest = manifest_of(folder) | changes
    store(folder, manifest | {"digest": manifests.own_digest(manifest)})


def rewrite(folder: Path, path: str, table: pa.Table, **options: Any) -> None:
    """Another table in a file, with the bytes of the manifest to match but nothing else."""
    pq.write_table(table, folder / path, **{"row_group_size": 1024} | options)
    data = (folder / path).read_bytes()
    files = manifest_of(folder)["files"]
    for file in files:
        if file["path"] == path:
            file |= {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    restate(folder, files=files)


def first(folder: Path, split: str = "train") -> str:
    return str(manifest_of(folder)["splits"][split]["files"][0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_whole_dataset_has_no_problem(whole: dict[str, Path], layout: str) -> None:
    assert verify(whole[layout]) == []
    assert len(manifest_of(whole[layout])["splits"]["train"]["files"]) > 1


def test_what_git_and_the_hub_add_is_no_problem(copied: Callable[[str], Path]) -> None:
    folder = copied("parquet")
    for name in (".git/config", ".cache/huggingface/x", ".gitattributes"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    assert verify(folder) == []


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("damage", ["bit", "cut", "grown", "gone", "swapped", "extra", "left_over"])
def test_damage_on_disk_is_named(copied: Callable[[str], Path], layout: str, damage: str) -> None:
    folder = copied(layout)
    path = first(folder)
    place = folder / path
    data = bytearray(place.read_bytes())
    if damage == "bit":
        data[len(data) // 2] ^= 1
        place.write_bytes(data)
        said = f"{path}: has other bytes"
    elif damage == "cut":
        place.write_bytes(data[:-100])
        said = f"{path}: has {len(data) - 100} bytes, not {len(data)}"
    elif damage == "grown":
        place.write_bytes(data + b"x")
        said = f"{path}: has {len(data) + 1} bytes"
    elif damage == "gone":
        place.unlink()
        said = f"{path}: is missing"
    elif damage == "swapped":
        shutil.copy(folder / first(folder, "validation"), place)
        said = f"{path}: has "
    elif damage == "extra":
        shutil.copy(place, place.with_name("shard_99999.parquet"))
        said = "shard_99999.parquet: is not in the manifest"
    else:
        place.with_name(f".{place.name}.0.tmp").write_bytes(b"")
        said = ".tmp: is not in the manifest"
    problems = texts(verify(folder))
    assert said in problems
    if damage not in ("extra", "left_over"):
        assert "clusters and splits were not checked" in problems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "is missing"),
        ("", "is not JSON"),
        ('{"manifest": 1', "is not JSON"),
        ('{"manifest": 0}', "no manifest of version 1"),
        ('{"manifest": 1}', "lacks budget, clusters, digest"),
    ],
)
def test_a_manifest_that_is_none(copied: Callable[[str], Path], text: str | None, said: str) -> None:
    path = copied("parquet") / "manifest.json"
    path.unlink() if text is None else path.write_text(text)
    problems = verify(path.parent)
    assert [problem.path for problem in problems] == ["manifest.json"]
    assert said in problems[0].text


@pytest.mark.parametrize("key", ["files", "splits", "budget", "clusters"])
def test_a_manifest_of_another_shape_is_a_problem_and_no_traceback(copied: Callable[[str], Path], key: str) -> None:
    folder = copied("parquet")
    for value in (None, 3, [3], {"a": 1}, "x"):
        manifest = manifest_of(folder) | {key: value}
        (folder / "manifest.json").write_bytes(manifests.written(manifest))
        assert verify(folder)


def test_any_hand_edited_number_is_noticed(copied: Callable[[str], Path]) -> None:
    folder = copied("parquet")
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"v1"', '"v2"'))
    assert "was changed after it was written" in texts(verify(folder))


@pytest.mark.parametrize("key", ["rows", "tokens", "bytes", "row_groups", "content", "columns"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_stated_fact_of_a_file_is_checked(copied: Callable[[str], Path], layout: str, key: str) -> None:
    folder = copied(layout)
    files = manifest_of(folder)["files"]
    before = files[0][key]
    files[0][key] = before + 1 if isinstance(before, int) else "0" * 32 if key == "content" else ["text", "id"]
    restate(folder, files=files)
    problems = texts(verify(folder))
    said = {
        "rows": f"not {files[0]['rows']} in",
        "tokens": f"not {files[0]['tokens']}" if layout == "nanochat" else "its files say",
        "bytes": f"not {files[0]['bytes']}",
        "row_groups": f"in {files[0]['row_groups']}",
        "content": "its content digest is another",
        "columns": "not those of its layout",
    }[key]
    assert said in problems


@pytest.mark.parametrize("key", ["tokens", "draws", "documents", "weight", "epochs", "weight_requested"])
def test_every_stated_fact_of_a_cluster_is_checked(copied: Callable[[str], Path], key: str) -> None:
    folder = copied("nanochat")
    clusters = manifest_of(folder)["clusters"]
    clusters[1][key] += 1 if isinstance(clusters[1][key], int) else 1e-6
    restate(folder, clusters=clusters)
    problems = verify(folder)
    assert len(problems) == 1
    assert key.replace("_", " ").removesuffix(" requested") in problems[0].text.replace("_", " ")


def test_a_cluster_that_the_manifest_does_not_know(copied: Callable[[str], Path]) -> None:
    folder = copied("parquet")
    clusters = manifest_of(folder)["clusters"]
    clusters[2]["id"] = 9
    restate(folder, clusters=clusters)
    problems = texts(verify(folder))
    assert "cluster 2 has rows and is not in the manifest" in problems
    assert "cluster 9 has 0 tokens" in problems


def test_a_budget_cap_that_was_not_kept(copied: Callable[[str], Path]) -> None:
    folder = copied("parquet")
    restate(folder, budget=manifest_of(folder)["budget"] | {"max_epochs": 1.0})
    assert "a document of training stands 2 times; the limit is 1" in texts(verify(folder))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_values_under_matching_bytes(copied: Callable[[str], Path], layout: str) -> None:
    folder = copied(layout)
    path = first(folder)
    table = pq.read_table(folder / path)
    texts_ = table["text"].to_pylist()
    texts_[3] += "!"
    place = table.column_names.index("text")
    rewrite(folder, path, table.set_column(place, table.schema.field("text"), pa.array(texts_)))
    assert "holds other values than were written" in texts(verify(folder))
    rewrite(folder, path, table.rename_columns([name.upper() for name in table.column_names]))
    assert "not those of its layout" in texts(verify(folder))
    (folder / path).write_bytes(b"no parquet")
    files = manifest_of(folder)["files"]
    for file in files:
        if file["path"] == path:
            file |= {"bytes": 10, "sha256": hashlib.sha256(b"no parquet").hexdigest()}
    restate(folder, files=files)
    assert "cannot be read as Parquet" in texts(verify(folder))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_document_in_both_splits(tmp_path: Path, layout: Layout) -> None:
    train = documents(600)
    make(tmp_path, layout, train=train, validation=train.slice(0, 5))
    problems = texts(verify(tmp_path))
    assert "documents of validation are in training too" in problems
    assert "hold exactly the text of a validation row" in problems


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_text_in_both_splits_under_another_id(tmp_path: Path, layout: Layout) -> None:
    train, validation = documents(600), documents(30, name="v")
    copies = pa.concat_arrays(
        [validation["text"].slice(0, 29).combine_chunks(), train["text"].slice(7, 1).combine_chunks()]
    )
    validation = validation.set_column(1, validation.schema.field("text"), copies)
    make(tmp_path / "bad", layout, train=train, validation=validation, weights=(1, 1, 1), max_epochs=1)
    problems = verify(tmp_path / "bad")
    assert [problem.text for problem in problems] == ["1 rows of training hold exactly the text of a validation row"]
    # What the export does about it: leave such documents out of validation.
    kept = validation.filter(pa.array(unseen(validation["text"], train["text"].combine_chunks())))
    make(tmp_path / "good", layout, train=train, validation=kept, weights=(1, 1, 1), max_epochs=1)
    assert (kept.num_rows, verify(tmp_path / "good")) == (29, [])


def test_a_document_twice_in_validation_or_in_two_clusters(tmp_path: Path) -> None:
    validation = documents(30, name="v")
    make(tmp_path / "twice", "parquet", validation=pa.concat_tables([validation, validation.slice(0, 1)]))
    assert [problem.text for problem in verify(tmp_path / "twice")] == ["a document of validation stands twice"]
    moved = validation.slice(0, 1).set_column(3, validation.schema.field("cluster_id"), pa.array([2], pa.int32()))
    make(tmp_path / "two", "parquet", validation=pa.concat_tables([validation, moved]))
    assert [problem.text for problem in verify(tmp_path / "two")] == ["a document of validation is in two clusters"]


def test_rows_of_another_cluster_in_a_clusters_folder(copied: Callable[[str], Path]) -> None:
    folder = copied("clusters")
    path = first(folder)
    table = pq.read_table(folder / path)
    others = np.where(np.arange(table.num_rows) == 0, 1, 0).astype(np.int32)
    rewrite(folder, path, table.set_column(3, table.schema.field("cluster_id"), pa.array(others)))
    assert f"{path}: holds rows of the clusters [1, 0]" in texts(verify(folder))


def test_nanochat_would_take_another_file_for_validation(copied: Callable[[str], Path]) -> None:
    folder = copied("nanochat")
    manifest = manifest_of(folder)
    splits, files = manifest["splits"], manifest["files"]
    (train, *_), (validation,) = splits["train"]["files"], splits["validation"]["files"]
    swap = {train: validation, validation: train}
    swap |= {f"columns/{old}": f"columns/{new}" for old, new in list(swap.items())}
    for old, new in swap.items():
        os.rename(folder / old, folder / f"{new}.swap")
    for new in swap.values():
        os.rename(folder / f"{new}.swap", folder / new)
    for file in files:
        file["path"] = swap.get(file["path"], file["path"])
    for split in splits.values():
        split["files"] = [swap.get(path, path) for path in split["files"]]
    restate(folder, files=files, splits=splits)
    assert "nanochat takes the last file for validation" in texts(verify(folder))


def test_nanochat_row_groups_and_columns_beside(copied: Callable[[str], Path]) -> None:
    folder = copied("nanochat")
    path = first(folder)
    table = pq.read_table(folder / path)
    rewrite(folder, path, table, row_group_size=600)  # 600 and 424
    assert "uneven row groups" not in texts(verify(folder))
    for uneven in (pa.concat_tables([table, table]), table):
        rewrite(folder, path, uneven, row_group_size=2048)
        assert (f"{path}: has uneven row groups, or some over 1024 rows" in texts(verify(folder))) == (
            uneven is not table
        )
    files = [file for file in manifest_of(folder)["files"] if file["path"] != f"columns/{path}"]
    restate(folder, files=files)
    problems = texts(verify(folder))
    assert f"{path}: has no columns/{path}" in problems
    assert f"columns/{path}: is not in the manifest" in problems


def test_paths_outside_the_folder_are_not_followed(copied: Callable[[str], Path]) -> None:
    folder = copied("parquet")
    for path in ("../secret.parquet", "/etc/passwd"):
        files = manifest_of(folder)["files"]
        files[0]["path"] = path
        restate(folder, files=files)
        assert f"{path}: lies outside the folder" in texts(verify(folder))


def test_no_training_or_no_validation_file(tmp_path: Path) -> None:
    make(tmp_path, "parquet", validation=documents(30, name="v").slice(0, 0))
    assert [problem.text for problem in verify(tmp_path)] == ["lists no validation file"]
