"""A process on mixtures of several phases: tokens count by when they are read, or every phase counts for itself.

Where it matters how much was read of each bucket, and late tokens more than early ones, a row of phases is worth one
mixture: its phases' weights by their shares of the tokens, times `recency` to the power of how many phases follow.
That is one number to learn beside the process of a static mixture, and a dozen trials show it. Where phases do
different things each has coordinates of its own. Which of the two, the trials say: processes of the likeliest
recency and of all coordinates are averaged by likelihood, as those of both powers are in mixer/predictors/kriging.py.
"""

from collections.abc import Sequence

import numpy as np

from mixer.candidates import Floats
from mixer.predictors.exposure import RECENCIES
from mixer.predictors.kriging import PASSES, POWERS, Bent, FittedKriging


class Late(Bent):
    """The likeliest process on what rows of phases are worth at one recency."""

    def __init__(
        self, rows: Floats, losses: Floats, shares: Sequence[float], recency: float, power: float, passes: int = PASSES
    ) -> None:
        self._lateness = np.asarray(shares) * recency ** np.arange(len(shares))[::-1]
        self.recency = recency
        super().__init__(self._worth(rows), losses, power, passes)

    def mean(self, weights: Floats) -> Floats:
        return super().mean(self._worth(weights))

    def moments(self, weights: Floats) -> tuple[Floats, Floats]:
        return super().moments(self._worth(weights))

    def covariance(self, weights: Floats) -> Floats:
        return super().covariance(self._worth(weights))

    def _worth(self, rows: Floats) -> Floats:
        """(rows, buckets) of (rows, phases * buckets)."""
        parts = rows.reshape(len(rows), len(self._lateness), -1)
        mixed: Floats = np.einsum("p,rpb->rb", self._lateness / self._lateness.sum(), parts)
        return mixed


class FittedRecency(FittedKriging):
    """Processes of the likeliest recency and of every phase for itself; `weights` are (rows, phases * buckets)."""

    def __init__(self, weights: Floats, losses: Floats, shares: Sequence[float]) -> None:
        tried = [Late(weights, losses, shares, recency, power, passes=0) for recency in RECENCIES for power in POWERS]
        self.recency = max(tried, key=lambda one: one.process.likelihood).recency
        self.parts = [Late(weights, losses, shares, self.recency, power) for power in POWERS]
        self.parts += [Bent(weights, losses, power) for power in POWERS]
        likelihoods = np.array([part.process.likelihood for part in self.parts])
        shared = np.exp(likelihoods - likelihoods.max())
        self.shares = shared / shared.sum()
        apart = float(self.shares[len(POWERS) :].sum())
        self.note = (
            f"kriging of phases: {len(losses)} runs, recency {self.recency:g}, {apart:.2g} of it each phase by itself"
        )
