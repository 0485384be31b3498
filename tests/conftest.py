"""Fixtures that more than one test file uses, and the markers that skip by themselves."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pipelines.corpus import Corpus

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for matrices of dozens of rows more threads take thrice as long

Run = Callable[..., tuple[int, str, str]]
SHARED = Path(os.environ.get("SIRDAR_TEST_DATA", Path(__file__).parents[2] / "shared"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip_slow = pytest.mark.skip(reason="slow; run with --slow")
    for item in items:
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(skip_slow)
        if "gpu" in item.keywords and not _has_cuda():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))


def _has_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real crawl files, domains and tables; tests that need it skip where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"no test data at {SHARED} (set SIRDAR_TEST_DATA)")
    return SHARED / "data"


@pytest.fixture
def sirdar(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> "Run":
    """Runs the command in this process: (exit code, standard output, standard error)."""
    from mixer import command

    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sirdar", *map(str, arguments)])
        code = 0
        try:
            command.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture(scope="session")
def encoder(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder's folder and what is distilled from it; kept from one session to the next."""
    import made_corpus

    kept = getattr(pytestconfig, "cache", None)
    return made_corpus.encoder(kept.mkdir("encoder") if kept else tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="session")
def crawl_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the planned crawls and targets of tests/made_corpus.py; read only."""
    import made_corpus

    folder = tmp_path_factory.mktemp("crawls")
    made_corpus.write(folder)
    return folder


@pytest.fixture(scope="session")
def built(crawl_files: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> "Corpus":
    """A workspace in which the whole job has run over both planned crawls; read only."""
    import made_corpus

    from mixer.job import build

    corpus = made_corpus.make(
        tmp_path_factory.mktemp("built") / "ws", crawl_files, encoder, names=("crawl-1", "crawl-2")
    )
    build(corpus)
    return corpus


@pytest.fixture
def copied(built: "Corpus", tmp_path: Path) -> "Corpus":
    """The finished workspace as one's own."""
    root = tmp_path / "copied"
    shutil.copytree(built.workspace.root, root, symlinks=True)
    return replace(built, workspace=type(built.workspace)(str(root)))


@pytest.fixture
def fresh(crawl_files: Path, encoder: Path, tmp_path: Path) -> "Callable[..., Corpus]":
    """Makes workspaces of the planned crawls in which nothing has run."""
    import made_corpus

    def make(name: str = "ws", **given: Any) -> "Corpus":
        return made_corpus.make(tmp_path / name, crawl_files, encoder, **given)

    return make


@pytest.fixture(scope="session")
def unbroken(built: "Corpus", tmp_path_factory: pytest.TempPathFactory) -> "Corpus":
    """`built` with its search, mixture and comparison again, from a trainer that answers at once; read only."""
    from made_searches import Planted, copied, searched

    with pytest.MonkeyPatch.context() as patch:
        corpus = copied(built, tmp_path_factory.mktemp("unbroken"))
        searched(corpus, Planted(), patch, until="comparison")
    return corpus


@pytest.fixture(scope="session")
def all_on(crawl_files: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> "Corpus":
    """Both planned crawls up to the tokens, with every optional stage on; tests may add stages beside its own."""
    from made_optional import make_optional

    return make_optional(tmp_path_factory.mktemp("optional"), crawl_files, encoder)
