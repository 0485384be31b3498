"""Annealing mixtures: the first phases stand, and only what is read last is searched.

As models are made whose last tokens, while the learning rate falls, are of another mixture than those before (Llama 3,
2407.21783, section 3.4.3; OLMo 2, 2501.00656, section 4). Every trial trains all its phases, so that it costs
what any other costs; of so many fewer weights it takes fewer to know.
"""

from dataclasses import dataclass, replace

import numpy as np

from mixer import phases
from mixer.candidates import Floats
from mixer.prediction import Fitted
from mixer.strategies.bayes import automatic
from mixer.strategies.reuse import Reduced
from mixer.strategy import History, Problem, Strategy


@dataclass(frozen=True, slots=True, eq=False)
class Annealing:
    """A strategy of one phase, which searches the last of several."""

    tail: phases.Tail
    strategy: Strategy
    name: str = "annealing"

    def propose(self, history: History, n: int) -> Floats:
        return self.tail.expand(self.strategy.propose(self._reduced(history), n))

    def recommend(self, history: History) -> Floats:
        row: Floats = self.tail.expand(self.strategy.recommend(self._reduced(history))[np.newaxis])[0]
        return row

    def fit(self, history: History) -> Fitted | None:
        fitted = self.strategy.fit(self._reduced(history))
        return None if fitted is None else Reduced(self.tail.reduce, fitted)

    def _reduced(self, history: History) -> History:
        return replace(history, weights=self.tail.reduce(history.weights), failed=self.tail.reduce(history.failed))


def annealing(problem: Problem, tail: phases.Tail) -> Annealing:
    space = tail.space(problem.space)
    last = replace(problem, space=space, start=tail.reduce(problem.start), pool=tail.reduce(problem.pool))
    return Annealing(tail, automatic(last))
