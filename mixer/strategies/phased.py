"""Bayesian search among mixtures of several phases: the draws about the best it knows keep the caps of all phases.

The best of the pool is improved on by draws about it, the best of those by draws about that, and so on: where a row
has twice or three times as many weights, draws about one alone hardly come near to what the model holds best: of a
planted problem of two phases, 64 trials and 3 seeds, a third of the regret is left.
"""

from dataclasses import dataclass

import numpy as np

from mixer import phases
from mixer.candidates import Floats
from mixer.prediction import Predictor
from mixer.predictors.kriging import FittedKriging
from mixer.predictors.recency import FittedRecency
from mixer.strategies import bayes, rules
from mixer.strategies.bayes import Bayes
from mixer.strategy import History, Problem, among, untried

STEPS = 8  # of draws about the best of the draws before
NEAR = 512  # in each


@dataclass(frozen=True, slots=True, eq=False)
class PhasedBayes(Bayes):
    """Rows are (phases * buckets,); `shares`: of the tokens, by phase. `predictor`: exposure in the place of recency.

    `tail`: where only some of the phases are searched.
    """

    shares: tuple[float, ...] = ()
    predictor: Predictor | None = None
    tail: phases.Tail | None = None

    def fit(self, history: History) -> FittedKriging:
        if self.predictor is None:
            return FittedRecency(history.weights, history.losses, self.shares)
        fitted = self.predictor.fit(history.weights, history.losses)
        assert isinstance(fitted, FittedKriging)
        return fitted

    def _candidates(self, history: History, fitted: FittedKriging, n: int) -> Floats:
        """The pool and draws about the best, step by step; where n are wanted each once, without what was tried."""
        random = np.random.default_rng([self.seed, 3, history.num_rounds])
        found = [self.pool]
        best = self.pool[np.argmin(fitted.mean(self.pool))]
        for _ in range(STEPS):
            near = self._around(best, random)
            found.append(near)
            best = near[np.argmin(fitted.mean(near))]
        rows = np.concatenate(found)
        return untried(bayes.distinct(rows), history, n) if n else rows

    def _around(self, row: Floats, random: np.random.Generator) -> Floats:
        """(rows, phases * buckets) about a row: all phases, and in every second draw the last alone."""
        if self.tail is not None:
            last = self.tail.reduce(row[np.newaxis])[0]
            return self.tail.expand(bayes.around(last, self.limits, NEAR, random))
        before = row.reshape(len(self.shares), -1)
        after = [bayes.around(part, np.ones_like(part), NEAR, random) for part in before]
        for draws, part in zip(after[:-1], before[:-1], strict=True):
            draws[::2] = part
        return phases.within(np.concatenate(after, axis=1), self.shares, self.limits)


def phased_bayes(problem: Problem, shares: tuple[float, ...]) -> PhasedBayes:
    return PhasedBayes(
        problem.start, problem.pool, problem.space.limits, problem.seed, shares=shares, predictor=problem.predictor
    )


def automatic(problem: Problem, shares: tuple[float, ...]) -> PhasedBayes:
    """The same search, whose first trials are the rules' mixtures in every phase."""
    known = phases.static(rules.known_to(problem), len(shares))
    start = np.concatenate([known, problem.start[~among(problem.start, known)]])
    return PhasedBayes(
        start,
        problem.pool,
        problem.space.limits,
        problem.seed,
        shares=shares,
        predictor=problem.predictor,
        name="auto",
    )
