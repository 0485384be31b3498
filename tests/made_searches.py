"""A search whose trainer answers at once, over a workspace built by tests/made_corpus.py."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import fsspec
import numpy as np

from mixer import stages
from mixer.job import planned
from mixer.trial import Loss, Result, Trial
from pipelines.corpus import Corpus, opened
from pipelines.store import Workspace

MIXER_STAGES = ("search", "mixture", "comparison", "strategies", "dataset")


class Killed(BaseException):
    """Stands for a kill."""


class Planted:
    """Answers at once: the further from a planted mixture the worse, plus noise that follows from the trial."""

    def __init__(self, kill_after: int = -1, fails=lambda trial: False, kill=None) -> None:
        self.kill_after, self.fails, self.trained = kill_after, fails, []
        self.kill = kill or self._raise

    def train(self, trials, on_result) -> None:
        for trial in trials:
            if len(self.trained) == self.kill_after:
                self.kill()
            self.trained.append(trial.key)
            on_result(self.result(trial))

    def result(self, trial: Trial) -> Result:
        if self.fails(trial):
            return Result(trial.key, {}, 0, 0.1, error="out of memory")
        weights = np.array(trial.schedule.weights)
        noise = np.random.default_rng(int(trial.key, 16)).normal(0, 0.01)
        loss = 4 + float(((weights - np.eye(len(weights))[0]) ** 2).sum()) + noise
        names = [f"{split}/{target}" for split in ("search", "final") for target in ("stars", "mixed")]
        return Result(trial.key, {name: Loss(loss, loss / 3) for name in names}, trial.schedule.tokens, 0.1)

    def _raise(self) -> None:
        raise Killed


def copied(corpus: Corpus, folder: Path, *, keep: tuple[str, ...] = ()) -> Corpus:
    """The workspace again, without the mixer's stages but those to be kept."""
    root = Path(corpus.workspace.root)
    gone = [name for name in MIXER_STAGES if name not in keep]
    shutil.copytree(root, folder / "ws", symlinks=True, ignore=shutil.ignore_patterns(*gone))
    return opened(Workspace(str(folder / "ws")))


@contextmanager
def in_memory(corpus: Corpus, root: str) -> Iterator[Corpus]:
    """The workspace again on an object store, without models."""
    store = fsspec.filesystem("memory")
    for name, data in bytes_of(Path(corpus.workspace.root)).items():
        if not name.startswith("models/"):
            store.pipe(f"/{root}/{name}", data)
    try:
        yield opened(Workspace(f"memory://{root}"))
    finally:
        store.rm(f"/{root}", recursive=True)


def searched(corpus: Corpus, trainer, monkeypatch, *, until: str = "mixture") -> None:
    """The rounds and what comes after, with a trainer that costs nothing."""
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: trainer)
    for step, arguments in planned(corpus):
        if step.module == "mixer.stages":
            step.run(corpus, *arguments)
            if step.name == until:
                return


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Everything below a folder but leases."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lease"
    }


def folder_of(corpus: Corpus, stage) -> Path:
    return corpus.workspace.local(*stage(corpus).steps)


def without_times(folder: Path) -> dict[str, bytes]:
    """What a search leaves that is the same whatever happened to it on the way."""
    wanted = ("candidates/", "fits/", "recommendation.json")
    return {name: data for name, data in bytes_of(folder).items() if name.startswith(wanted)}
