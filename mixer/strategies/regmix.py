"""RegMix (2407.01492): one round of proxies, a regression, and the mean of the best predicted mixtures.

Its predictor is LightGBM under the library's own limits, which with fewer than some 40 runs is one constant; its
choice is the mean of the 100 best of a million draws (paper) or the 128 best of 100,000 (notebook). Draws are those
of the pool. A mean of mixtures within the caps is within them.
"""

from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted, Predictor
from mixer.predictors.trees import REGMIX, LightGBM
from mixer.strategy import History, Problem, first

TOP_PAPER = 100
TOP_NOTEBOOK = 128


@dataclass(frozen=True, slots=True, eq=False)
class RegMix:
    """All trials come from `start`, whatever the number of rounds; `top` of the pool are averaged."""

    start: Floats
    pool: Floats
    predictor: Predictor
    top: int = TOP_PAPER
    name: str = "regmix"

    def propose(self, history: History, n: int) -> Floats:
        return first(self.start[len(history.tried) :], n)

    def recommend(self, history: History) -> Floats:
        # Stable, so that ties keep the order of the draws on every machine.
        best = np.argsort(self.fit(history).mean(self.pool), kind="stable")[: self.top]
        weights: Floats = self.pool[best[0]] if len(best) == 1 else self.pool[best].mean(axis=0)
        return weights

    def fit(self, history: History) -> Fitted:
        return self.predictor.fit(history.weights, history.losses)


def regmix(problem: Problem) -> RegMix:
    return _made(problem, TOP_PAPER, "regmix")


def regmix_notebook(problem: Problem) -> RegMix:
    return _made(problem, TOP_NOTEBOOK, "regmix-notebook")


def _made(problem: Problem, top: int, name: str) -> RegMix:
    trees = problem.predictor or LightGBM(problem.seed, min_runs=0, settings=REGMIX)
    return RegMix(problem.start, problem.pool, trees, 1 if problem.listed else top, name)
