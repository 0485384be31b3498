"""MoDoMoDo (2505.24871): a quadratic in the weights, minimised over mixtures around those that were trained.

The paper fits it on shuffled splits and keeps the five best of them; here five models, each without a fifth of the
runs, are averaged, the penalty chosen for each by leaving out. It looks for the lowest among draws around observed
mixtures (CMA-ES in the paper), since a quadratic far from its points may say anything.
"""

from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted, Prediction
from mixer.predictors.ridge import Quadratic
from mixer.strategies.bayes import around
from mixer.strategy import History, Problem, first

SPLITS = 5
OBSERVED = 16  # the best measured mixtures, about which candidates are drawn
DRAWS = 512  # about each


@dataclass(frozen=True, slots=True, eq=False)
class MoDoMoDo:
    """`start`: (rows, buckets) of all rounds; candidates are drawn about the best of them unless `listed`."""

    start: Floats
    pool: Floats
    limits: Floats
    seed: int = 42
    listed: bool = False
    name: str = "modomodo"

    def propose(self, history: History, n: int) -> Floats:
        return first(self.start[len(history.tried) :], n)

    def recommend(self, history: History) -> Floats:
        rows = self.pool if self.listed else self._candidates(history)
        best: Floats = rows[np.argmin(self.fit(history).mean(rows))]
        return best

    def fit(self, history: History) -> Fitted:
        return FittedSplits(history.weights, history.losses, self.seed)

    def _candidates(self, history: History) -> Floats:
        random = np.random.default_rng([self.seed, 4])
        best = np.argsort(history.losses, kind="stable")[:OBSERVED]
        drawn = [around(history.weights[row], self.limits, DRAWS, random) for row in best]
        return np.concatenate([history.weights, *drawn])


class FittedSplits:
    """The mean of quadratics that each miss a part of the runs; all of them where there are too few to miss any."""

    def __init__(self, weights: Floats, losses: Floats, seed: int) -> None:
        order = np.random.default_rng([seed, 5]).permutation(len(losses))
        parts = np.array_split(order, SPLITS) if len(losses) >= 2 * SPLITS else [order[:0]]
        kept = [np.setdiff1d(order, part) for part in parts]
        self._fits = [Quadratic().fit(weights[rows], losses[rows]) for rows in kept]
        self.note = f"{len(self._fits)} quadratics of {len(losses)} runs"

    def mean(self, weights: Floats) -> Floats:
        values: Floats = np.mean([fit.mean(weights) for fit in self._fits], axis=0)
        return values

    def predict(self, weights: Floats) -> Prediction:
        found = [fit.predict(weights) for fit in self._fits]
        spread: Floats = np.mean([part.spread for part in found], axis=0)
        return Prediction(np.mean([part.mean for part in found], axis=0), spread)


def modomodo(problem: Problem) -> MoDoMoDo:
    return MoDoMoDo(problem.start, problem.pool, problem.space.limits, problem.seed, problem.listed)
