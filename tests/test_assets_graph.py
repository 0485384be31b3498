"""The Dagster graph as a whole: what loading it costs, what it says, and whether it agrees with the lineage."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import definitions
from pipelines.corpus import choose, keep
from pipelines.store import Workspace

SNAPSHOT = Path(__file__).parent / "data" / "asset_graph.txt"
HEAVY = {
    "torch", "apache_beam", "sklearn", "transformers", "faiss", "sentence_transformers", "lightgbm", "numba",
    "scipy", "matplotlib", "polars",
}  # fmt: skip


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    code = (
        "import sys; from assets.definitions import definitions, build\n"
        "build('/no/such/workspace').resolve_job_def('build_dataset')\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "dagster" in loaded
    assert not loaded & HEAVY


def test_the_graph_is_the_committed_one() -> None:
    """Keys, groups, partitions, pools, dependencies, claims. To accept a change: python tests/test_assets_graph.py"""
    assert described() == SNAPSHOT.read_text(encoding="utf-8")


def test_rounds_are_those_of_the_workspace(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    keep(workspace, choose(workspace, None, preset="laptop", changes=["search.rounds=[5, 4, 3, 2]"]))
    keys = definitions.build(str(tmp_path)).resolve_asset_graph().get_all_asset_keys()
    rounds = {key.path[1] for key in keys if key.path[0] == "search"}
    assert rounds == {"round_1", "round_2", "round_3", "round_4"}
    assert definitions.num_rounds(str(tmp_path / "absent")) == 6  # of the preset that a new workspace gets


def test_definitions_take_the_workspace_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIRDAR_WORKSPACE", str(tmp_path))
    loaded = definitions.definitions()
    assert loaded.resources is not None
    assert loaded.resources["workspace"].workspace == str(tmp_path)
    loaded.validate_loadable(loaded)


def test_what_uses_a_gpu_waits_for_its_turn() -> None:
    graph = definitions.build("/no/such/workspace").resolve_asset_graph()
    trained = {key for key in graph.get_all_asset_keys() if "torch" in graph.get(key).kinds}
    assert trained
    assert all("gpu" in graph.get(key).pools for key in trained)


def described() -> str:
    graph = definitions.build("/no/such/workspace").resolve_asset_graph()
    return "\n".join(_lines(graph, key) for key in graph.toposorted_asset_keys) + "\n"


def _lines(graph: Any, key: dg.AssetKey) -> str:
    node = graph.get(key)
    what = [node.group_name, *sorted(node.kinds), "by crawl" if node.partitions_def else "once"]
    what += [f"pool {pool}" for pool in sorted(node.pools or ())]
    lines = [f"{key.to_user_string()}: {', '.join(what)}"]
    lines += [f"  after {parent.to_user_string()}" for parent in sorted(node.parent_keys)]
    for check in sorted(node.check_keys):
        spec = graph.get_check_spec(check)
        lines.append(f"  claims {check.name}{' (blocking)' if spec.blocking else ''}")
    return "\n".join(lines)


if __name__ == "__main__":
    SNAPSHOT.write_text(described(), encoding="utf-8")
