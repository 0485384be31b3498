"""What every search strategy is: from the trials so far to the next ones, and at the end to one mixture.

A strategy is a frozen record and keeps no state: what it proposes follows from the history alone, so that a
search killed anywhere and resumed goes on as if nothing had happened, whatever order trials finished in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mixer.candidates import Floats
from mixer.prediction import Fitted


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Successful trials as arrays, rows by (round, index); failed trials are not among them.

    weights (trials, buckets); losses (trials,), what the search minimises; rounds (trials,), from 1; tasks,
    the loss in nats of every held-out text by name, (trials,) each, for strategies that predict tasks apart.
    """

    weights: Floats
    losses: Floats
    rounds: NDArray[np.int64]
    tasks: Mapping[str, Floats]

    @classmethod
    def empty(cls, num_buckets: int) -> Self:
        return cls(np.empty((0, num_buckets)), np.empty(0), np.empty(0, np.int64), {})

    def __len__(self) -> int:
        return len(self.losses)

    @property
    def num_rounds(self) -> int:
        return int(self.rounds.max(initial=0))

    def take(self, rows: NDArray[np.intp]) -> "History":
        """The history of these rows alone."""
        tasks = {name: losses[rows] for name, losses in self.tasks.items()}
        return History(self.weights[rows], self.losses[rows], self.rounds[rows], tasks)


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
