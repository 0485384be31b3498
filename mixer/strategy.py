"""What every search strategy is: from the trials so far to the next ones, and at the end to one mixture.

A strategy is a frozen record and keeps no state: what it proposes follows from the history alone, so that a
search killed anywhere and resumed goes on as if nothing had happened, whatever order trials finished in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mixer.candidates import Floats, Space
from mixer.prediction import Fitted, Predictor
from pipelines.errors import SettingsError


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Successful trials as arrays, rows by (round, index); of failed ones the weights, to be asked for no more.

    weights (trials, buckets); losses (trials,), what the search minimises; rounds (trials,), from 1; tasks,
    the loss of every evaluation by name, (trials,) each, in the objective's metrics, for strategies that predict
    tasks apart; fidelities (trials,), the share of a trial's tokens that each was trained on: all 1 where not given;
    failed (others, buckets), the weights of trials without a loss.
    """

    weights: Floats
    losses: Floats
    rounds: NDArray[np.int64]
    tasks: Mapping[str, Floats]
    fidelities: Floats = field(default_factory=lambda: np.empty(0))
    failed: Floats = field(default_factory=lambda: np.empty((0, 0)))

    def __post_init__(self) -> None:
        if not len(self.failed):
            object.__setattr__(self, "failed", np.empty((0, self.weights.shape[1])))
        if not len(self.fidelities):
            object.__setattr__(self, "fidelities", np.ones(len(self.losses)))
        if len(self.fidelities) != len(self.losses):
            raise ValueError(f"{len(self.fidelities)} fidelities for {len(self.losses)} trials: one for each, or none")

    @classmethod
    def empty(cls, num_buckets: int) -> Self:
        return cls(np.empty((0, num_buckets)), np.empty(0), np.empty(0, np.int64), {})

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def tried(self) -> Floats:
        """(trials + others, buckets) weights of all that was trained, with a loss or without."""
        return np.concatenate([self.weights, self.failed])

    @property
    def num_rounds(self) -> int:
        return int(self.rounds.max(initial=0))

    def take(self, rows: NDArray[np.intp]) -> "History":
        """The history of these rows alone, and what failed."""
        tasks = {name: losses[rows] for name, losses in self.tasks.items()}
        return History(
            self.weights[rows], self.losses[rows], self.rounds[rows], tasks, self.fidelities[rows], self.failed
        )


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What the target is made of, for strategies that train nothing.

    counts (buckets,): how many of its documents fall into each bucket. `composition` (topics, buckets): what share
    of each bucket belongs to each topic; `wanted` (topics,): the same of the target. Both empty where unknown.
    """

    counts: Floats
    composition: Floats
    wanted: Floats

    @classmethod
    def of_counts(cls, counts: Floats) -> Self:
        """A target of which only the buckets of its documents are known."""
        return cls(np.asarray(counts, np.float64), np.empty((0, len(counts))), np.empty(0))


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Everything a strategy is made from; all strategies of a comparison get the same one.

    start (rows, buckets): mixtures that first rounds take in order. pool (rows, buckets): mixtures that are ranked.
    `tasks`: the evaluations whose mean is the objective, by `weights` (none: all alike), for strategies that predict
    each apart; none: only the objective itself. `predictor`: in the place of the strategy's own. `listed`: only rows
    of the pool may be recommended, as where a table of finished runs stands for the training. `fidelities`: shares of a
    trial's tokens that trials may be trained on, for the strategy that buys cheap ones.
    """

    space: Space
    start: Floats
    pool: Floats
    seed: int = 42
    target: Target | None = None
    tasks: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    predictor: Predictor | None = None
    listed: bool = False
    fidelities: tuple[float, ...] = (1.0,)


class Strategy(Protocol):
    """A way to search. Lower losses are better; weights are rows that sum to 1, within the space's limits."""

    @property
    def name(self) -> str: ...

    def propose(self, history: History, n: int) -> Floats:
        """(n, buckets) mixtures to train next."""
        ...

    def recommend(self, history: History) -> Floats:
        """(buckets,) weights: what the strategy would train the big model on."""
        ...

    def fit(self, history: History) -> Fitted | None:
        """What it believes of mixtures it has not seen; None where it predicts nothing."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """Mixtures to train, weights (rows, buckets), and the share of a trial's tokens for each, fidelities (rows,)."""

    weights: Floats
    fidelities: Floats


@runtime_checkable
class Buyer(Protocol):
    """A strategy whose trials differ in cost."""

    def buy(self, history: History, n: int) -> Proposals:
        """What to train next for no more than n trials of all tokens cost."""
        ...


def proposed(made: Strategy, history: History, n: int) -> Proposals:
    """A round: n trials, or of a strategy that buys cheaper ones what costs as much."""
    if isinstance(made, Buyer):
        return made.buy(history, n)
    weights = made.propose(history, n)
    return Proposals(weights, np.ones(len(weights)))


def first(rows: Floats, n: int) -> Floats:
    """The first n rows; SettingsError where fewer are drawn."""
    if n > len(rows):
        raise SettingsError(f"{n} trials in a round, but {len(rows)} mixtures are drawn for it")
    return rows[:n]


def among(rows: Floats, others: Floats) -> NDArray[np.bool_]:
    """(rows,) whether each is one of the others, to nine digits: sums of frozen groups differ in the last."""
    known = {row.tobytes() for row in np.round(others, 9) + 0.0}
    return np.fromiter((row.tobytes() in known for row in np.round(rows, 9) + 0.0), bool, len(rows))


def untried(pool: Floats, history: History, n: int) -> Floats:
    """The pool without what was tried; SettingsError where fewer than n are left."""
    rows = pool[~among(pool, history.tried)]
    if n > len(rows):
        raise SettingsError(f"{n} trials in a round, but {len(rows)} candidates untried; raise search.candidates")
    return rows


def per_task(history: History, tasks: tuple[str, ...]) -> list[Floats]:
    """Losses of each task, or the objective alone where none are named; SettingsError for one without a loss."""
    missing = [name for name in tasks if name not in history.tasks]
    if missing:
        known = ", ".join(history.tasks) or "none"
        raise SettingsError(f"no loss named {', '.join(missing)} in the trials; there are: {known}")
    return [history.tasks[name] for name in tasks] or [history.losses]
