"""The whole graph, materialised in process on two tiny real crawls, and what Dagster then has on record."""

import io
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import tiny

from assets import run
from assets.definitions import build
from mixer import lineage as mixing
from pipelines import corpus as workspaces
from pipelines import lineage
from pipelines.corpus import Corpus, Report, choose, keep
from pipelines.crawls import register
from pipelines.errors import InputError, LeaseError, SettingsError, SirdarError
from pipelines.optional import wanted
from pipelines.store import Workspace

SMALL = ("search.rounds=[3, 2]", "search.final_seeds=1", "search.final_mixtures=['natural', 'nearest']")


class Heard:
    """Progress that remembers what was told."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, str]] = []
        self.ended: list[Report] = []

    def begin(self, stage: str, crawl: str, *, total: int, done: int) -> None:
        self.begun.append((stage, crawl))

    def advance(self, count: int, rows: int) -> None: ...
    def note(self, text: str) -> None: ...

    def end(self, report: Report) -> None:
        self.ended.append(report)


@dataclass
class Done:
    """A workspace that was materialised, and what could be seen of it."""

    workspace: str
    heard: Heard
    printed: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    workspace = str(tiny.make(tmp_path_factory.mktemp("tiny"), changes=SMALL))
    heard, printed = Heard(), io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        assert run.materialise(workspace, heard)
    return Done(workspace, heard, printed.getvalue())


@pytest.fixture(scope="module")
def corpus(done: Done) -> Corpus:
    return workspaces.opened(Workspace(done.workspace))


def test_every_asset_is_on_record_with_its_numbers(done: Done) -> None:
    graph = build(done.workspace).resolve_asset_graph()
    settings = workspaces.opened(Workspace(done.workspace)).settings
    with run.opened(done.workspace) as instance:
        for key in graph.get_all_asset_keys():
            partitions = instance.get_materialized_partitions(key)
            assert partitions == ({"crawl-1", "crawl-2"} if graph.get(key).partitions_def else set()), key
            told = metadata_of(instance, key)
            if not wanted(settings, key.path[-1]):
                assert told["off"].value == "the settings do not ask for it"
            elif key != dg.AssetKey("crawl_files"):
                assert told["bytes"].value > 0
                assert told["seconds"].value >= 0
                assert Path(told["dagster/uri"].value).is_dir()
        told = metadata_of(instance, dg.AssetKey("verdicts"), "crawl-2")
        assert told["dagster/row_count"].value > 200
        assert 0 < told["kept_fraction"].value < 1
        reasons = {row.data["reason"]: row.data["count"] for row in told["funnel"].records}
        assert sum(reasons.values()) == 2 * reasons["read"]  # read = kept + dropped
        assert told["plot"].value.startswith("![documents by outcome](data:image/png;base64,")
        told = metadata_of(instance, dg.AssetKey("documents"), "crawl-1")
        assert told["sample"].value.count("\n") == 4  # head, rule, three rows
        named = {column.name: column.description for column in told["dagster/column_schema"].value.columns}
        assert named["id"]
        assert named["text"]
        first = metadata_of(instance, dg.AssetKey(["search", "round_1", "proxy_runs"]))
        assert len(first["leaderboard"].records) == 3
        assert first["best_so_far"].value.startswith("![lowest loss so far, by trial](data:image/png;base64,")
        last = metadata_of(instance, dg.AssetKey(["search", "round_2", "predictor"]))
        assert last["weights_over_rounds"].value.startswith("![weights recommended after each round](data:")
        assert "best_so_far" in metadata_of(instance, dg.AssetKey("mixture"))
        assert {row.data["mixture"] for row in metadata_of(instance, dg.AssetKey("comparison"))["results"].records} == {
            "search", "natural", "nearest"
        }  # fmt: skip


def test_no_picture_is_large(done: Done) -> None:
    """Dagster keeps each three times in its database."""
    sizes = []
    with run.opened(done.workspace) as instance:
        for key in build(done.workspace).resolve_asset_graph().get_all_asset_keys():
            values = [
                value for value in metadata_of(instance, key).values() if isinstance(value, dg.MarkdownMetadataValue)
            ]
            sizes += [len(value.value) for value in values if "data:image/png" in value.value]
    assert len(sizes) >= 12 + 6
    assert max(sizes) < 50_000


def test_every_claim_was_judged_for_every_crawl(done: Done) -> None:
    graph = build(done.workspace).resolve_asset_graph()
    with run.opened(done.workspace) as instance:
        for key in graph.asset_check_keys:
            spec = graph.get_check_spec(key)
            records = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
            assert {record.partition for record in records} == (
                {"crawl-1", "crawl-2"} if spec.partitions_def else {None}
            )
            statuses = {record.status.value for record in records}
            assert statuses == {"SUCCEEDED"} if spec.blocking else statuses <= {"SUCCEEDED", "FAILED"}
            evaluation = records[0].event.dagster_event.asset_check_evaluation_data
            assert evaluation.target_materialization_data is not None
            assert evaluation.metadata


def test_the_graph_agrees_with_the_lineage(corpus: Corpus) -> None:
    """Whatever a stage's address covers is upstream of its asset."""
    graph = build(corpus.workspace.root).resolve_asset_graph()
    for name in lineage.VERSIONS:
        node = graph.get(dg.AssetKey(name))
        if not wanted(corpus.settings, name):
            continue
        stage = getattr(lineage, name)(corpus, *(["crawl-2"] if node.partitions_def else []))
        inputs = {label.split("/")[0] for label in stage.recipe.inputs} - {name}
        assert {parent.path[0] for parent in node.parent_keys} >= inputs, name
    for name in ("mixture", "comparison", "dataset"):
        inputs = {dg.AssetKey(label.split("/")[0]) for label in getattr(mixing, name)(corpus).recipe.inputs}
        above = graph.get_ancestor_asset_keys(dg.AssetKey(name))
        assert above >= inputs - {dg.AssetKey("search")}, name


def test_progress_is_the_callers_and_crawls_go_in_order(done: Done) -> None:
    heard = done.heard
    assert [report.crawl for report in heard.ended if report.stage == "duplicates"] == ["crawl-1", "crawl-2"]
    assert [stage for stage, _ in heard.begun][:1] == [heard.ended[0].stage]
    assert heard.ended[-1].stage == "dataset"


def test_a_second_call_finds_all_there(done: Done) -> None:
    heard = Heard()
    with run.opened(done.workspace) as instance:
        runs = len(instance.get_runs())
    assert run.materialise(done.workspace, heard)
    assert not heard.begun
    with run.opened(done.workspace) as instance:
        assert len(instance.get_runs()) == runs


def test_nothing_of_dagster_is_printed(done: Done) -> None:
    assert done.printed == ""


@pytest.mark.filterwarnings("ignore:Using `httpx`")
def test_the_ui_answers_from_the_workspace(done: Done, monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import ModuleTarget
    from dagster_webserver.app import create_app_from_workspace_process_context
    from starlette.testclient import TestClient

    monkeypatch.setenv("SIRDAR_WORKSPACE", done.workspace)
    query = """{
      assetNodes { assetKey { path } groupName pools partitionKeys assetMaterializations(limit: 1) { partition } }
      runsOrError { ... on Runs { results { jobName status } } }
    }"""
    target = ModuleTarget("assets.definitions", None, str(Path(run.__file__).parents[1]), "sirdar")
    with run.opened(done.workspace) as instance, WorkspaceProcessContext(instance, target) as context:
        client = TestClient(create_app_from_workspace_process_context(context))
        data = client.post("/graphql", json={"query": query}).json()["data"]
    nodes = {"/".join(node["assetKey"]["path"]): node for node in data["assetNodes"]}
    assert nodes["documents"]["partitionKeys"] == ["crawl-1", "crawl-2"]
    assert nodes["embeddings"]["pools"] == ["gpu"]
    assert nodes["dataset"]["assetMaterializations"]
    assert {run["jobName"] for run in data["runsOrError"]["results"]} == {"build_dataset"}


# ---------------------------------------------------------------------------------------------------------
# What goes wrong


@pytest.fixture
def bare(tmp_path: Path, corpus: Corpus) -> Path:
    """A workspace with one crawl, without targets."""
    workspace = Workspace(str(tmp_path / "ws"))
    shutil.copytree(corpus.workspace.local("models"), tmp_path / "ws" / "models")
    changes = [*tiny.CHANGES, f"embeddings.model={corpus.settings.embeddings.model!r}"]
    keep(workspace, choose(workspace, None, preset="laptop", changes=changes))
    tiny.write_jsonl(tmp_path / "crawl" / "part.jsonl", tiny.documents()[:120])
    register(workspace, "only", [str(tmp_path / "crawl")])
    return tmp_path / "ws"


def test_a_blocking_claim_stops_what_comes_after(bare: Path) -> None:
    """Rules that keep nothing: the verdicts are there, the duplicates are never looked for."""
    workspace = Workspace(str(bare))
    keep(workspace, choose(workspace, None, preset=None, changes=["quality.limits.gopher_short_doc=90000"]))
    heard = Heard()
    with pytest.raises(SirdarError, match="verdicts: keeps_plausible_share"):
        run.materialise(str(bare), heard)
    stages = [report.stage for report in heard.ended]
    assert "verdicts" in stages
    assert "duplicates" not in stages


def test_an_error_keeps_its_type(bare: Path) -> None:
    (bare.parent / "crawl" / "part.jsonl").unlink()
    with pytest.raises(InputError, match="gone"):
        run.materialise(str(bare), Heard())


@pytest.mark.slow
def test_a_killed_run_holds_nothing_up(bare: Path) -> None:
    """Killed while it holds the GPU's slot: the next run takes the slot, and the old one is on record as failed."""
    started = subprocess.Popen([sys.executable, "-m", "assets.run", str(bare)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (bare / ".dagster" / "in-process.lock").exists() or not _slots(bare):
        assert started.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    with pytest.raises(LeaseError, match="another process"):
        run.materialise(str(bare), Heard())
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    assert _slots(bare)
    heard = Heard()
    with pytest.raises(SettingsError, match="no target"):
        run.materialise(str(bare), heard)
    assert "embeddings" in [report.stage for report in heard.ended]
    with run.opened(str(bare)) as instance:
        assert [run.status.value for run in instance.get_runs()] == ["FAILURE", "FAILURE"]
    assert not _slots(bare)


def _slots(workspace: Path) -> int:
    with run.opened(str(workspace)) as instance:
        return instance.event_log_storage.get_concurrency_info("gpu").active_slot_count


def test_a_workspace_without_crawls_says_what_to_do(tmp_path: Path) -> None:
    keep(Workspace(str(tmp_path)), choose(Workspace(str(tmp_path)), None, preset="laptop", changes=[]))
    with pytest.raises(InputError, match="register one"):
        run.materialise(str(tmp_path), Heard())


def test_settings_that_are_wrong_start_nothing(bare: Path) -> None:
    (bare / "sirdar.toml").write_text('preset = "laptop"\n[serch]\n')
    with pytest.raises(SettingsError, match="serch"):
        run.materialise(str(bare), Heard())
    assert not (bare / ".dagster").exists()


def metadata_of(instance: dg.DagsterInstance, key: dg.AssetKey, partition: str | None = None) -> Any:
    wanted = dg.AssetRecordsFilter(key, asset_partitions=[partition] if partition else None)
    (record,) = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    return record.asset_materialization.metadata
