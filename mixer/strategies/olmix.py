"""Olmix (2602.12237): a log-linear law for every task, and the mixture that their weighted mean is lowest at,
solved exactly.

The swarm is one round around the natural shares, at least three runs for each bucket and one. The paper holds only
the solver to the repetition caps; here trials keep to them too, as those of every strategy. The sum of the laws is
convex in the weights, so the best mixture needs no candidates; a penalty of 0.05 KL(w || natural) keeps it where the
laws have seen something. Groups whose inner shares are frozen (mixture reuse) are in mixer/strategies/reuse.py and
go with any strategy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Prediction
from mixer.predictors.loglinear import Law, fitted_law
from mixer.strategies.simplex import minimised
from mixer.strategy import History, Problem, first, per_task

STRENGTH = 0.05  # of the penalty; the paper's best of 0, .01, .05


def swarm_size(num_buckets: int) -> int:
    """Trials that the paper asks for: three for each bucket and one more."""
    return 3 * (num_buckets + 1)


@dataclass(frozen=True, slots=True, eq=False)
class Olmix:
    """`natural` (buckets,): what the penalty draws towards; `limits`: largest weights; the rest as in Problem."""

    start: Floats
    pool: Floats
    natural: Floats
    limits: Floats
    tasks: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()
    strength: float = STRENGTH
    listed: bool = False
    name: str = "olmix"

    def propose(self, history: History, n: int) -> Floats:
        return first(self.start[len(history.tried) :], n)

    def recommend(self, history: History) -> Floats:
        laws = self.fit(history)
        if not self.listed:
            return minimised(laws.value, self.limits, self.natural, strength=self.strength)
        far = divergence(self.pool, self.natural)
        best: Floats = self.pool[np.argmin(laws.mean(self.pool) + self.strength * far)]
        return best

    def fit(self, history: History) -> "FittedLaws":
        laws = [fitted_law(history.weights, losses) for losses in per_task(history, self.tasks)]
        return FittedLaws(laws, self.weights)


class FittedLaws:
    """The mean of several tasks' laws, weighted; its spread is the mean of theirs, as if all erred the same way."""

    def __init__(self, laws: Sequence[Law], weights: Sequence[float] = ()) -> None:
        given = np.array(weights or (1.0,) * len(laws))
        self._weights = given / given.sum()  # (tasks,)
        self._slopes = np.array([law.slopes for law in laws])  # (tasks, buckets)
        self._floor = float(self._weights @ [law.floor for law in laws])
        self._error = float(self._weights @ [law.error for law in laws])
        self.note = f"log-linear laws of {len(laws)} task{'s' if len(laws) > 1 else ''}"

    def value(self, weights: Floats) -> tuple[float, Floats]:
        """The mean loss of one mixture, and its gradient."""
        above = self._weights * np.exp(np.minimum(self._slopes @ weights, 700.0))
        gradient: Floats = above @ self._slopes
        return self._floor + float(above.sum()), gradient

    def mean(self, weights: Floats) -> Floats:
        values: Floats = self._floor + np.exp(np.minimum(weights @ self._slopes.T, 700.0)) @ self._weights
        return values

    def predict(self, weights: Floats) -> Prediction:
        return Prediction(self.mean(weights), np.full(len(weights), self._error))


def olmix(problem: Problem) -> Olmix:
    return Olmix(
        problem.start,
        problem.pool,
        problem.space.shares,
        problem.space.limits,
        problem.tasks,
        problem.weights,
        listed=problem.listed,
    )


def mixing_laws(problem: Problem) -> Olmix:
    """Data Mixing Laws (2403.16952): the same law and its minimum, with nothing that draws it to the natural shares.

    The paper fits a mixture of tasks too, on 20 runs, and nests the law in others of steps and size, which proxies of
    one size do not need.
    """
    return Olmix(
        problem.start,
        problem.pool,
        problem.space.shares,
        problem.space.limits,
        problem.tasks,
        problem.weights,
        strength=0.0,
        listed=problem.listed,
        name="mixing-laws",
    )


def divergence(rows: Floats, anchor: Floats) -> Floats:
    """(rows,) KL(row || anchor) in nats; buckets at zero give nothing."""
    logs = np.log(np.maximum(rows, 1e-300) / np.maximum(anchor, 1e-12))
    values: Floats = np.where(rows > 0, rows * logs, 0.0).sum(axis=1)
    return values
