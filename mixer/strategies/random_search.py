"""Random search: the best measured of so many draws, which every search must beat at its budget (Best@N)."""

from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.strategy import History, first


@dataclass(frozen=True, slots=True, eq=False)
class RandomSearch:
    """The best measured of `start`, (rows, buckets), taken in order."""

    start: Floats
    name: str = "random"

    def propose(self, history: History, n: int) -> Floats:
        return first(self.start[len(history.tried) :], n)

    def recommend(self, history: History) -> Floats:
        best: Floats = history.weights[np.argmin(history.losses)]
        return best

    def fit(self, history: History) -> None:
        return None
