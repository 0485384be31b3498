"""A process on mixtures of several phases: tokens count by when they are read, or every phase counts for itself.

Where it matters how much was read of each bucket, and late tokens more than early ones, a row of phases is worth one
mixture: its phases' weights by their shares of the tokens, times `recency` to the power of how many phases follow.
That is one number to learn beside the process of a static mixture, and a dozen trials show it; a bucket that fades
faster or slower has its own. Where phases do different things each has coordinates of its own. Which of the two, the
trials say: processes of the likeliest recencies and of all coordinates are averaged by likelihood, as those of both
powers are in mixer/predictors/kriging.py.
"""

from collections.abc import Sequence

import numpy as np

from mixer.candidates import Floats
from mixer.predictors.exposure import RECENCIES
from mixer.predictors.kriging import PASSES, POWERS, WORTH, Bent, FittedKriging, kernel, likeliest


class Late(Bent):
    """The likeliest process on what rows of phases are worth; `recency` is one number, or one for each bucket."""

    def __init__(
        self,
        rows: Floats,
        losses: Floats,
        shares: Sequence[float],
        recency: Floats | float,
        power: float,
        passes: int = PASSES,
    ) -> None:
        self.recency = recency
        self._lateness = lateness(shares, np.broadcast_to(recency, rows.shape[1] // len(shares)))
        super().__init__(self._worth(rows), losses, power, passes)

    def mean(self, weights: Floats) -> Floats:
        return super().mean(self._worth(weights))

    def moments(self, weights: Floats) -> tuple[Floats, Floats]:
        return super().moments(self._worth(weights))

    def covariance(self, weights: Floats) -> Floats:
        return super().covariance(self._worth(weights))

    def _worth(self, rows: Floats) -> Floats:
        """(rows, buckets) of (rows, phases * buckets)."""
        return worth(rows, self._lateness)


class FittedRecency(FittedKriging):
    """Processes of the likeliest recencies and of every phase for itself; `weights` are (rows, phases * buckets)."""

    def __init__(self, weights: Floats, losses: Floats, shares: Sequence[float]) -> None:
        tried = [Late(weights, losses, shares, recency, power, passes=0) for recency in RECENCIES for power in POWERS]
        best = max(tried, key=lambda one: one.process.likelihood)
        self.recency = recencies(weights, losses, shares, best)
        self.parts = [Late(weights, losses, shares, self.recency, power) for power in POWERS]
        self.parts += [Bent(weights, losses, power) for power in POWERS]
        likelihoods = np.array([part.process.likelihood for part in self.parts])
        shared = np.exp(likelihoods - likelihoods.max())
        self.shares = shared / shared.sum()
        apart = float(self.shares[len(POWERS) :].sum())
        low, high = self.recency.min(), self.recency.max()
        between = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        self.note = f"kriging of phases: {len(losses)} runs, recency {between}, {apart:.2g} of it each phase by itself"


def recencies(rows: Floats, losses: Floats, shares: Sequence[float], common: Late) -> Floats:
    """(buckets,) of the grid, from one for all: a bucket's is another where trials are likelier by more than WORTH.

    By coordinates, at the length of the common process and any noise, since one recency for all leaves too much of it.
    """
    found = np.full(rows.shape[1] // len(shares), common.recency)
    now = common.process.likelihood
    for bucket in range(len(found)):
        for other in RECENCIES:
            tried = found.copy()
            tried[bucket] = other
            points = worth(rows, lateness(shares, tried)) ** common.power
            then = likeliest(kernel(points, points, common.length), losses).likelihood
            if then > now + WORTH:
                found, now = tried, then
    return found


def lateness(shares: Sequence[float], recency: Floats) -> Floats:
    """(phases, buckets) what each phase's weight counts for; columns sum to 1, so static mixtures stay themselves."""
    later = np.arange(len(shares))[::-1, None]
    counted = np.asarray(shares)[:, None] * recency**later
    found: Floats = counted / counted.sum(axis=0)
    return found


def worth(rows: Floats, lateness: Floats) -> Floats:
    """(rows, buckets) mixtures that (rows, phases * buckets) weights are worth."""
    mixed: Floats = np.einsum("pb,rpb->rb", lateness, rows.reshape(len(rows), len(lateness), -1))
    return mixed
