"""Which way imports go, and that help and lineage stay light."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("pipelines", "mixer", "assets")
HEAVY = (
    "apache_beam", "dagster", "faiss", "lightgbm", "matplotlib", "model2vec", "numba", "sentence_transformers",
    "sklearn", "torch", "transformers",
)  # fmt: skip


def test_imports_go_one_way() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--config", str(ROOT / "pyproject.toml")]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "statement",
    [
        "import pipelines.corpus, pipelines.settings, pipelines.store, pipelines.crawls",
        "import mixer.command, mixer.job",
        "import sys; sys.argv = ['sirdar', '--help']; import mixer.command; mixer.command.app(standalone_mode=False)",
        "import sys; sys.argv = ['sirdar', 'build', '--help']; import mixer.command; "
        "mixer.command.app(standalone_mode=False)",
        "from pipelines import lineage; from mixer import lineage",
    ],
)
def test_nothing_heavy_is_imported_for(statement: str) -> None:
    """Starting the command stays under a second; torch alone takes five."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(json.loads(ended.stdout.splitlines()[-1]))
    assert "pipelines.settings" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_packages_come_from_this_repository() -> None:
    for package in PACKAGES:
        found = __import__(package).__file__
        assert found is not None
        assert Path(found).parent == ROOT / package


def test_no_module_hides_one_of_the_standard_library() -> None:
    """Run as a file, a module's folder comes first in the path; tests' folder always does."""
    folders = [*(ROOT / package for package in PACKAGES), ROOT / "tests"]
    tests = {path.stem for path in (ROOT / "tests").glob("*.py")}
    assert tests.isdisjoint(sys.stdlib_module_names)
    assert not (ROOT / "tests" / "__init__.py").exists()
    for folder in folders:
        names = {path.stem for path in folder.glob("*.py")} - {"__init__"}
        assert names.isdisjoint(set(sys.stdlib_module_names)), folder
    assert not [path for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name in PACKAGES]


def test_stages_are_read_natively() -> None:
    """See Workspace.parquet: Arrow over a Python file aborts one process in ten when it ends."""
    through_python = re.compile(r"pq\.(read_table|ParquetFile)\((file|io\.|\w*\.open)")
    for package in PACKAGES:
        for path in (ROOT / package).glob("*.py"):
            if path != ROOT / "pipelines" / "rows.py":  # crawl files, which may lie anywhere, in workers
                assert not through_python.search(path.read_text(encoding="utf-8")), path


def test_every_module_begins_by_saying_what_it_is() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert not text or text.startswith('"""'), path
            assert "from __future__ import annotations" not in text, path
