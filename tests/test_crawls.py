"""Crawls in order: what can be added to which, and what input paths mean."""

import fcntl
import shutil
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest

from pipelines.crawls import CRAWL_FILES, listed, register, registered
from pipelines.errors import InputError
from pipelines.reading.documents import is_supported
from pipelines.store import Workspace


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("a.warc.gz", "b.jsonl", "deep/c.parquet", "deep/er/D.JSONL.ZST", "notes.txt", "other/b.jsonl"):
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "files"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "ws"))


def test_crawls_keep_the_order_in_which_they_came(workspace: Workspace, files: Path) -> None:
    assert registered(workspace) == ()
    for name in ("2026-11", "2025-01", "a"):
        register(workspace, name, [str(files / "b.jsonl")])
    assert [(crawl.name, crawl.order, crawl.sealed) for crawl in registered(workspace)] == [
        ("2026-11", 0, True),
        ("2025-01", 1, True),
        ("a", 2, False),
    ]


def test_files_can_be_added_to_the_newest_crawl_only(workspace: Workspace, files: Path) -> None:
    register(workspace, "one", [str(files / "b.jsonl")])
    grown = register(workspace, "one", [str(files / "a.warc.gz")])
    assert list(grown.files) == ["a.warc.gz", "b.jsonl"]
    register(workspace, "two", [str(files / "b.jsonl")])
    assert register(workspace, "one", [str(files / "b.jsonl")]).sealed  # the same again is no change
    with pytest.raises(InputError, match=r"'one' is sealed, since 'two' came after it, and cannot take deep/c\.parq"):
        register(workspace, "one", [str(files)])
    assert list(registered(workspace)[0].files) == ["a.warc.gz", "b.jsonl"]


def test_a_file_whose_size_changed_is_refused(workspace: Workspace, files: Path) -> None:
    register(workspace, "one", [str(files)])
    (files / "b.jsonl").write_text("more than before")
    with pytest.raises(InputError, match=r"b\.jsonl has 16 bytes now and had 7 when crawl 'one' was read"):
        register(workspace, "one", [str(files)])


def test_a_crawl_may_move(workspace: Workspace, files: Path, tmp_path: Path) -> None:
    register(workspace, "one", [str(files)])
    files.rename(tmp_path / "elsewhere")
    moved = register(workspace, "one", [str(tmp_path / "elsewhere")])
    assert {location for location, _ in moved.files.values()} == {
        f"file://{tmp_path / 'elsewhere' / name}" for name in moved.files
    }


def test_another_file_of_the_same_size_is_no_move(workspace: Workspace, files: Path, tmp_path: Path) -> None:
    register(workspace, "one", [str(files)])
    shutil.copytree(files, tmp_path / "copy")
    register(workspace, "one", [str(tmp_path / "copy")])
    other = tmp_path / "other" / "b.jsonl"
    other.parent.mkdir()
    other.write_text("b.JSONL")
    with pytest.raises(InputError, match=r"other/b\.jsonl is another file than .*copy/b\.jsonl, which crawl 'one'"):
        register(workspace, "one", [str(other)])


def test_two_registrations_at_once_undo_nothing(workspace: Workspace, files: Path) -> None:
    workspace.local().mkdir()
    with workspace.local(".crawls.lock").open("ab") as lock, ThreadPoolExecutor(3) as pool:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = [pool.submit(register, workspace, name, [str(files / "b.jsonl")]) for name in ("a", "b", "c")]
        assert not wait(waiting, timeout=0.2).done
        assert not workspace.exists("crawls.json")
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert {one.result().name for one in waiting} == {"a", "b", "c"}
    assert {crawl.name for crawl in registered(workspace)} == {"a", "b", "c"}


def test_paths_are_below_the_folder_that_was_given(files: Path) -> None:
    assert list(listed([str(files)])) == [
        "a.warc.gz",
        "b.jsonl",
        "deep/c.parquet",
        "deep/er/D.JSONL.ZST",
        "other/b.jsonl",
    ]
    assert list(listed([f"{files}/"])) == list(listed([str(files)]))
    assert list(listed([str(files / "deep"), str(files / "b.jsonl")])) == ["b.jsonl", "c.parquet", "er/D.JSONL.ZST"]
    assert list(listed([str(files / "*.warc.gz")])) == ["a.warc.gz"]
    assert list(listed([str(files / "**" / "*.parquet")])) == ["c.parquet"]
    assert listed([str(files / "b.jsonl")])["b.jsonl"] == (f"file://{files / 'b.jsonl'}", 7)
    assert listed([str(files), str(files / "b.jsonl")]) == listed([str(files)])  # one file, named twice


def test_two_files_with_one_path_are_refused(files: Path) -> None:
    with pytest.raises(InputError, match=r"the same path below their roots, 'b\.jsonl'; give their common folder"):
        listed([str(files / "b.jsonl"), str(files / "other")])
    with pytest.raises(InputError, match="the same path"):
        listed([str(files / "**" / "*.jsonl")])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere", "is no file, folder or pattern"),
        ("notes.txt", "holds no crawl file"),
        ("*.xyz", "holds no crawl file"),
    ],
)
def test_inputs_without_crawl_files_are_named(files: Path, given: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        listed([str(files / given)])


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", ".."])
def test_names_that_are_no_folder_names_are_refused(workspace: Workspace, files: Path, name: str) -> None:
    with pytest.raises(InputError, match="crawl name"):
        register(workspace, name, [str(files)])
    assert not workspace.exists("crawls.json")


def test_every_listed_file_can_be_read() -> None:
    assert all(is_supported(f"a{ending}") for ending in CRAWL_FILES)
