"""Mixing anew for each phase: a static mixture is searched first, then what follows the first phase at the best found.

After TiKMiX (2508.17677), which mixes again every so many tokens, since what helps a model changes as it learns. There
the influence of each domain on the model so far says how; here proxies do, which train all phases: of as many stages
as there are phases, each takes its part of the rounds, holds the phases before at the best that was found, and gives
all others one mixture. Losses of every stage are fitted together. Early phases that spend a scarce bucket
leave none of it to a later one; where caps bind, a search of all phases at once (`auto`) may find what this cannot.
"""

from dataclasses import dataclass

import numpy as np

from mixer import phases
from mixer.candidates import Floats, capped
from mixer.predictors.kriging import FittedKriging
from mixer.strategies import rules
from mixer.strategies.phased import PhasedBayes
from mixer.strategy import History, Problem, among


@dataclass(frozen=True, slots=True, eq=False)
class Remixing:
    """`problem`: of static rows; `shares`: of the tokens, by phase; `num_rounds`: one for each phase at least."""

    problem: Problem
    shares: tuple[float, ...]
    num_rounds: int
    name: str = "remixing"

    def propose(self, history: History, n: int) -> Floats:
        return self._search(self._tail(history)).propose(history, n)

    def recommend(self, history: History) -> Floats:
        return self._search(self._tail(history)).recommend(history)

    def fit(self, history: History) -> FittedKriging:
        return self._search(self._whole).fit(history)

    def _search(self, tail: phases.Tail) -> PhasedBayes:
        """Bayesian search of the phases that do not stand yet."""
        problem = self.problem
        limits = tail.space(problem.space).limits
        known = phases.static(rules.known_to(problem), len(self.shares))
        return PhasedBayes(
            start=np.concatenate([known, problem.start[~among(problem.start, known)]]),
            pool=tail.expand(capped(tail.reduce(problem.pool), limits)),
            limits=limits,
            seed=problem.seed,
            shares=self.shares,
            predictor=problem.predictor,
            tail=tail,
        )

    def _tail(self, history: History) -> phases.Tail:
        """The phases that stand in the next round: each at the best mixture of the rounds of its stage."""
        fixed = self._whole.fixed
        for stage in range(1, self._stage(history.num_rounds + 1) + 1):
            before = history.take(np.flatnonzero([self._stage(number) < stage for number in history.rounds]))
            tail = phases.Tail(self.shares, fixed)
            rows = before.weights[tail.holds(before.weights)]
            best = rows[np.argmin(self.fit(before).mean(rows))]
            fixed = np.concatenate([fixed, tail.reduce(best[np.newaxis])])
        return phases.Tail(self.shares, fixed)

    def _stage(self, number: int) -> int:
        """How many phases stand in a round, from 1; after the last as in it."""
        return (min(number, self.num_rounds) - 1) * len(self.shares) // self.num_rounds

    @property
    def _whole(self) -> phases.Tail:
        return phases.Tail.whole(self.shares, len(self.problem.space.shares))
