"""Where things lie: digests of content, commits that are whole or nothing, leases that end with their holder."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import made_corpus
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import leases, lineage
from pipelines.corpus import Corpus
from pipelines.digest import content_digest, digest_of, rolled_up
from pipelines.errors import LeaseError, StoreError
from pipelines.records import ID
from pipelines.store import Recipe, Stage, Workspace, aligned, part_name

RECIPE = Recipe("edits", 1, "crawl-1", {"a": 1}, {"library": "2"}, {"documents/crawl-1/0123": "0123"})
TABLE = pa.table({"id": pa.array([bytes([n]) * 16 for n in range(5)], ID), "number": range(5)})

KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int32(): st.integers(-5, 5),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.float16(): st.sampled_from([np.float16(x) for x in (0, 1.5, -2)]),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=4),
    pa.large_string(): st.text(max_size=4),
    pa.binary(): st.binary(max_size=4),
    pa.large_binary(): st.binary(max_size=4),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.list_(pa.int16()): st.lists(st.integers(0, 3) | st.none(), max_size=3),
    pa.list_(pa.struct([("at", pa.int32()), ("why", pa.string())])): st.lists(
        st.fixed_dictionaries({"at": st.integers(0, 3), "why": st.text(max_size=2) | st.none()}), max_size=2
    ),
}


@pytest.fixture(params=["local", "memory"])
def workspace(request: pytest.FixtureRequest, tmp_path: Path) -> Workspace:
    return Workspace(str(tmp_path / "ws") if request.param == "local" else f"memory://{uuid.uuid4().hex}/ws")


# ---------------------------------------------------------------------------------------------------------
# Digests


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_digest_does_not_see_chunks_slices_or_what_lies_around(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(KINDS)))
    values = data.draw(st.lists(KINDS[kind] | st.none(), max_size=8))
    around = data.draw(st.lists(KINDS[kind] | st.none(), max_size=3))
    cut = data.draw(st.integers(0, len(values)))
    plain = pa.table({"x": pa.array(values, kind)})
    wider = pa.array([*around, *values, *around], kind).slice(len(around), len(values))
    chunked = pa.chunked_array([wider.slice(0, cut), wider.slice(cut)])
    assert content_digest(pa.table({"x": wider})) == content_digest(plain)
    assert content_digest(pa.table({"x": chunked})) == content_digest(plain)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_digest_sees_every_value_and_its_place(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(list(KINDS)))
    one, other = (data.draw(st.lists(KINDS[kind] | st.none(), min_size=1, max_size=4)) for _ in range(2))
    first, second = pa.array(one, kind), pa.array(other, kind)
    # -0.0 equals 0.0 and is another value all the same
    if first.to_pylist() != second.to_pylist():
        assert content_digest(pa.table({"x": first})) != content_digest(pa.table({"x": second}))


def test_digest_does_not_see_what_lies_under_a_null() -> None:
    mask = np.array([False, True, False])
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 3, 4], pa.int32()), pa.array([1, 7, 7, 2]), mask=pa.array(mask))
    for garbage, clean in (
        (pa.array(np.array([1, 99, 3]), mask=mask), pa.array([1, None, 3])),
        (pa.array(np.array([True, True, False]), mask=mask), pa.array([True, None, False])),
        (lists, pa.array([[1], None, [2]])),
    ):
        assert content_digest(pa.table({"x": garbage})) == content_digest(pa.table({"x": clean}))


def test_digest_sees_names_and_types_but_not_the_order_of_columns() -> None:
    a, b = pa.array([1, 2]), pa.array(["x", "y"])
    assert content_digest(pa.table({"a": a, "b": b})) == content_digest(pa.table({"b": b, "a": a}))
    assert content_digest(pa.table({"a": a})) != content_digest(pa.table({"b": a}))
    assert content_digest(pa.table({"a": a})) != content_digest(pa.table({"a": a.cast(pa.int32())}))
    assert content_digest(pa.table({"a": ["ab", "c"]})) != content_digest(pa.table({"a": ["a", "bc"]}))
    assert content_digest(pa.table({"a": [""]})) != content_digest(pa.table({"a": pa.array([None], pa.string())}))


def test_a_column_whose_bytes_would_be_addresses_has_no_digest() -> None:
    with pytest.raises(TypeError, match="dictionary"):
        content_digest(pa.table({"x": pa.array(["a"]).dictionary_encode()}))


def test_roll_up_does_not_see_the_order_of_parts() -> None:
    parts = [{"part": f"part-{n}", "content": f"{n * n}", "rows": n} for n in range(4)]
    assert rolled_up(parts) == rolled_up(parts[::-1]) != rolled_up(parts[1:])


@pytest.mark.parametrize(
    "changed",
    [{"version": 2}, {"crawl": "b"}, {"settings": {"a": 2}}, {"libraries": {}}, {"inputs": {}}, {"stage": "signals"}],
)
def test_everything_in_a_recipe_is_in_its_digest(changed: dict[str, Any]) -> None:
    assert Recipe(**{**RECIPE.values, **changed}).digest != RECIPE.digest
    assert Recipe(**dict(reversed(RECIPE.values.items()))).digest == RECIPE.digest


def test_part_names_follow_from_the_files_path_alone() -> None:
    names = {part_name(relative, k) for relative in ("a.warc", "b/a.warc", "a.warc.gz") for k in range(3)}
    assert len(names) == 9
    assert part_name("a.warc", 12) == f"part-{digest_of('a.warc')[:16]}-00012"
    assert sorted(part_name("a", k) for k in (0, 9, 10, 99999)) == [part_name("a", k) for k in (0, 9, 10, 99999)]


# ---------------------------------------------------------------------------------------------------------
# Commits


def test_a_part_is_read_back_with_its_sidecar_and_what_lies_beside(workspace: Workspace) -> None:
    stage = Stage(workspace, RECIPE)
    beside = TABLE.slice(0, 2)
    stage.commit("part-a-00000", TABLE, beside={"rejects": beside}, counts={"read": 7})
    assert stage.has("part-a-00000")
    assert stage.read("part-a-00000").equals(TABLE)
    assert stage.read("part-a-00000", ["number"]).column_names == ["number"]
    assert stage.read("part-a-00000", beside="rejects").equals(beside)
    assert stage.sidecars() == {
        "part-a-00000": {
            "part": "part-a-00000",
            "rows": 5,
            "content": content_digest(TABLE),
            "beside": {"rejects": content_digest(beside)},
            "counts": {"read": 7},
        }
    }


def test_manifest_rolls_sidecars_up_and_holds_no_time_or_place(workspace: Workspace) -> None:
    stage = Stage(workspace, RECIPE)
    for name, table in (("part-b-00000", TABLE), ("part-a-00000", TABLE.slice(1))):
        stage.commit(name, table)
    with pytest.raises(StoreError, match=r"edits/crawl-1/\w{12}: 1 parts have no sidecar, e.g. part-c"):
        stage.seal(["part-a-00000", "part-c-00000"])
    with pytest.raises(StoreError, match="run `sirdar edits` first"):
        stage.finished()
    sealed = stage.seal(["part-b-00000", "part-a-00000"], counts={"kept": 9})
    assert sealed == stage.finished()
    assert sealed["rows"] == 9
    assert [part["part"] for part in sealed["parts"]] == ["part-a-00000", "part-b-00000"]
    assert sealed.keys() == {*RECIPE.values, "digest", "rows", "content", "parts", "counts"}
    again = Stage(Workspace(workspace.root + "-elsewhere"), RECIPE)
    for name, table in (("part-a-00000", TABLE.slice(1)), ("part-b-00000", TABLE)):
        again.commit(name, table)
    assert again.seal(["part-a-00000", "part-b-00000"], counts={"kept": 9}) == sealed


@pytest.mark.parametrize("root", ["", f"memory://{uuid.uuid4().hex}"], ids=["disk", "objects"])
def test_published_files_are_there_with_their_digests(root: str, tmp_path: Path) -> None:
    workspace = Workspace(root or str(tmp_path))
    stage = Stage(workspace, RECIPE)
    with stage.making() as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "fitted.bin").write_bytes(bytes(range(256)))
        (folder / "deep.json").write_text("{}")
        manifest = stage.publish(folder, counts={"n": 1})
    assert [part["part"] for part in manifest["parts"]] == ["deep.json", "deep/fitted.bin"]
    with workspace.open(*stage.steps, "deep", "fitted.bin") as file:
        assert file.read() == bytes(range(256))
    assert workspace.names(*stage.steps) == ["deep", "deep.json", "manifest.json"]
    assert not folder.exists()


def test_what_a_killed_run_was_making_is_gone_with_the_next(tmp_path: Path) -> None:
    stage = Stage(Workspace(str(tmp_path)), RECIPE)
    code = (
        "import os, sys; from pipelines.store import Recipe, Stage, Workspace\n"
        f"stage = Stage(Workspace({str(tmp_path)!r}), Recipe(**{RECIPE.values!r}))\n"
        "with stage.making() as folder:\n"
        "    (folder / 'half.bin').write_bytes(b'half'); os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    (left,) = stage.local().rglob("half.bin")
    assert left.is_relative_to(tmp_path)  # on the workspace's disk, which large pools fit
    with stage.making() as folder:
        assert not list(folder.iterdir())


def test_a_part_with_other_rows_than_its_sidecar_says_is_refused(workspace: Workspace) -> None:
    stage = Stage(workspace, RECIPE)
    stage.commit("part-a-00000", TABLE)
    sidecar = stage.sidecar("part-a-00000")
    workspace.write_json({**sidecar, "rows": 4}, *stage.steps, "part-a-00000.json")
    with pytest.raises(StoreError, match="5 rows, its sidecar says otherwise"):
        stage.read("part-a-00000")


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PAR1 not")])
def test_a_part_that_is_gone_or_damaged_is_named_with_what_to_do(tmp_path: Path, damage: Any) -> None:
    stage = Stage(Workspace(str(tmp_path)), RECIPE)
    stage.commit("part-a-00000", TABLE)
    damage(stage.workspace.local(*stage.steps, "part-a-00000.parquet"))
    with pytest.raises(
        StoreError, match=r"part-a-00000\.parquet cannot be read .* delete part-a-00000\.json .*`sirdar e"
    ):
        stage.read("part-a-00000")


def test_tables_of_other_documents_are_not_aligned() -> None:
    aligned(TABLE, TABLE.select(["id"]))
    for other in (TABLE.slice(1), TABLE.take([1, 0, 2, 3, 4])):
        with pytest.raises(StoreError, match="do not carry the same ids"):
            aligned(TABLE, other)


def test_a_write_that_fails_leaves_nothing(workspace: Workspace) -> None:
    def fail() -> None:
        with workspace.writing("a", "b.bin") as file:
            file.write(b"half")
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert workspace.names("a") == []
    workspace.write_json({"whole": 1}, "a", "b.bin")
    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert workspace.read_json("a", "b.bin") == {"whole": 1}  # what was there stays


def test_a_torn_json_file_is_named(workspace: Workspace) -> None:
    with workspace.writing("crawls.json") as file:
        file.write(b'{"a"')
    with pytest.raises(StoreError, match=r"crawls\.json is not JSON; delete it"):
        workspace.read_json("crawls.json")


def test_runs_are_logged_outside_of_every_stage(workspace: Workspace) -> None:
    workspace.log_run({"stage": "edits", "seconds": 1.5})
    workspace.log_run({"stage": "signals", "seconds": 2.5})
    if workspace.is_local:
        lines = workspace.local("runs.jsonl").read_text().splitlines()
        assert [json.loads(line)["stage"] for line in lines] == ["edits", "signals"]
    else:
        assert len(workspace.names("runs")) == 2


KILLED_WRITER = """
import os, signal, sys
from pipelines.store import Workspace
with Workspace(sys.argv[1]).writing("edits", "crawl-1", sys.argv[2], "part-a-00000.json") as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_leaves_is_no_part_and_is_swept(tmp_path: Path) -> None:
    stage = Stage(Workspace(str(tmp_path)), RECIPE)
    subprocess.run([sys.executable, "-c", KILLED_WRITER, str(tmp_path), RECIPE.digest], check=False)
    folder = stage.workspace.local(*stage.steps)
    assert len(list(folder.iterdir())) == 1
    assert stage.sidecars() == {}
    with stage.lease():
        assert [path.name for path in folder.iterdir()] == [".lease"]


# ---------------------------------------------------------------------------------------------------------
# Leases

HOLDER = """
import sys, time
from pipelines.store import Recipe, Stage, Workspace
with Stage(Workspace(sys.argv[1]), Recipe("edits", 1)).lease():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    stage = Stage(Workspace(str(tmp_path)), Recipe("edits", 1))
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LeaseError, match=rf"edits/\w+ is being written by process {holder.pid} on"), stage.lease():
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with stage.lease():
            pass


def test_another_digest_of_the_same_stage_can_be_written_at_once(workspace: Workspace) -> None:
    with Stage(workspace, Recipe("edits", 1)).lease(), Stage(workspace, Recipe("edits", 2)).lease():
        pass


def test_a_lease_is_given_back_after_an_error(workspace: Workspace) -> None:
    stage = Stage(workspace, RECIPE)
    for _ in range(2):
        with pytest.raises(ValueError, match="work"), stage.lease():
            raise ValueError("work")


def test_a_remote_lease_is_refused_while_it_is_renewed_and_taken_when_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", 0.3)
    stage = Stage(Workspace(f"memory://{uuid.uuid4().hex}"), RECIPE)
    with stage.lease():
        time.sleep(0.7)  # longer than a lease that nobody renews
        with pytest.raises(LeaseError, match=f"process {os.getpid()}"), stage.lease():
            pass
    assert "lease.json" not in stage.workspace.names(*stage.steps)
    with stage.lease():
        stage.workspace.delete(*stage.steps)  # its lease with it
    assert not stage.workspace.exists(*stage.steps)
    stage.workspace.write_json({"holder": "a dead one", "until": time.time() - 1}, *stage.steps, "lease.json")
    with stage.lease():
        assert stage.workspace.read_json(*stage.steps, "lease.json")["holder"] != "a dead one"


# ---------------------------------------------------------------------------------------------------------
# A workspace on an object store


def test_the_corpus_half_is_the_same_on_a_remote_file_system(
    built: Corpus, crawl_files: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # distilled models and copies for memory-mapping lie there
    (tmp_path / ".cache/sirdar").mkdir(parents=True)
    (tmp_path / ".cache/sirdar/models").symlink_to(encoder / "models")
    local = made_corpus.make(tmp_path / "local", crawl_files, encoder, names=("crawl-1", "crawl-2"))
    remote = Workspace(f"memory://{uuid.uuid4().hex}/ws")
    for name in ("sirdar.toml", "crawls.json"):
        with remote.writing(name) as file, local.workspace.open(name) as source:
            file.write(source.read())
    corpus = made_corpus.opened(remote)
    made_corpus.run_corpus(corpus)
    for name in ("clusters", "pools", "evaluations"):
        mine, other = (getattr(lineage, name)(one) for one in (corpus, built))
        assert mine.finished() == other.finished()
    assert not list(tmp_path.rglob("*.parquet"))
