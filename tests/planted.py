"""Search problems whose truth is known, and a trainer that answers them without training. Not a test file.

Buckets are mixtures of hidden topics: the loss falls with the share of each topic that the target needs. With
pure buckets the optimum is known; with buckets that all hold the same topics nothing can be gained.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mixer.recommendation import Recommendation
from mixer.runs import Progress, loss_on, no_progress
from mixer.search import MixtureSearch
from mixer.strategy import Target
from mixer.trial import Loss, Result, Trial
from pipelines.search_settings import Proxy, Search

TARGET = np.array([0.5, 0.25, 0.15, 0.04, 0.02, 0.02, 0.01, 0.01])  # the topics that the target needs
TOKENS = (10_000_000, 40_000_000, 5_000_000, 80_000_000, 60_000_000, 20_000_000, 30_000_000, 50_000_000)
PURE = np.eye(len(TARGET))
NEAREST = (2, 1, 1, 1, 1, 1, 1, 1)  # the target's documents
BEST = TARGET ** (1 / 1.4) / (TARGET ** (1 / 1.4)).sum()  # where the derivatives of `loss` are equal, nearly


def loss(weights: Sequence[float], topics: np.ndarray = PURE) -> float:
    """Nats without noise; `topics` (buckets, topics): what each bucket holds."""
    return 3 + 0.3 * float((TARGET * (np.asarray(weights) @ topics + 0.01) ** -0.4).sum())


class Killed(BaseException):
    """What a test raises where a real run would be killed."""


@dataclass
class PlantedTrainer:
    """Loss of the landscape plus noise that follows from the trial alone, as a training's would."""

    topics: np.ndarray = field(default_factory=lambda: PURE)
    noise: float = 0.03
    order: Callable[[list[Trial]], list[Trial]] = list
    kill_after: int = -1
    fails: Callable[[Trial], bool] = lambda trial: False
    trained: list[Trial] = field(default_factory=list)

    def train(self, trials: Sequence[Trial], on_result: Callable[[Result], None]) -> None:
        for trial in self.order(list(trials)):
            if len(self.trained) == self.kill_after:
                raise Killed
            self.trained.append(trial)
            on_result(self.result(trial))

    def result(self, trial: Trial) -> Result:
        if self.fails(trial):
            return Result(trial.key, {}, 0, 0.5, error="out of memory")
        random = np.random.default_rng(int(trial.key, 16))
        value = loss(trial.schedule.weights, self.topics)
        search, final = value + self.noise * random.standard_normal(2)
        losses = {"narrow/search": Loss(search, search / 3), "narrow/final": Loss(final, final / 3)}
        return Result(trial.key, losses, trial.schedule.tokens, 0.5)


def search(
    folder: Path, trainer: Any, settings: Search, progress: Callable[[Progress], None] = no_progress, **changes: Any
) -> Recommendation:
    """A whole search of the planted problem, or what is left of it."""
    return steps(folder, settings, **changes).run(trainer, progress)


def steps(folder: Path, settings: Search, **changes: Any) -> MixtureSearch:
    """The same, to be taken step by step."""
    given: dict[str, Any] = {
        "token_counts": TOKENS,
        "target": Target.of_counts(np.array(NEAREST)),
        "proxy": Proxy(),
        "data": "digest",
        "objective": loss_on("narrow/search"),
    }
    return MixtureSearch(folder=folder, settings=settings, **{**given, **changes})


def outputs(folder: Path) -> dict[str, bytes]:
    """Everything of a search that holds no times and no order of arrival."""
    files = [*(folder / "candidates").iterdir(), *(folder / "fits").iterdir(), folder / "recommendation.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
