"""Loss from the tokens that were read of each bucket, so that phases and repetition count.

A schedule of phases and one that reads the same tokens all mixed have the same weights and not the same loss: what
is read last counts most, and the tenth reading of a text teaches less than the first. Both are bent away before a
process as in mixer/predictors/kriging.py sees the mixture. Of a bucket that holds U tokens and is read n times U,
the worth is U + U R (1 - exp(-(n - 1) / R)) beyond the first reading (2305.16264, section 3.1; R = 15.4 there), and
tokens of a phase weigh `recency` to the power of how many phases follow. R and recency are points of a grid, chosen by
likelihood with length and noise; with one phase and no repetition the process is that of plain weights.
"""

from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted
from mixer.predictors.kriging import Bent, FittedKriging

RECENCIES = (1.0, 0.7, 0.5, 0.3, 0.15, 0.05)
DECAYS = (1.0, 4.0, 15.4, np.inf)  # readings after which a text has given most of what it has
POWER = 0.5  # of shares, as `worth` gives them
PUBLISHED_DECAY = 15.4  # where no trial repeats anything, nothing can be learnt of it


@dataclass(frozen=True, slots=True)
class Exposure:
    """`available` (buckets,): tokens that each bucket holds; `phases`: tokens of each phase, in order.

    Rows to fit and to predict are the weights of all phases one after the other, (rows, phases * buckets).
    """

    available: tuple[float, ...]
    phases: tuple[int, ...]
    name: str = "exposure"

    def fit(self, weights: Floats, losses: Floats) -> Fitted:
        return FittedExposure(weights, losses, np.asarray(self.available, np.float64), np.asarray(self.phases))


class Exposed(Bent):
    """The likeliest process on what the tokens read are worth at one recency and decay."""

    def __init__(
        self, weights: Floats, losses: Floats, available: Floats, phases: Floats, recency: float, decay: float
    ) -> None:
        self._available, self._phases, self.recency, self.decay = available, phases, recency, decay
        super().__init__(weights, losses, POWER, passes=0)

    def _bent(self, weights: Floats) -> Floats:
        return worth(weights, self._available, self._phases, self.recency, self.decay)


class FittedExposure(FittedKriging):
    """A fitted process, with the recency and decay it is likeliest under."""

    def __init__(self, weights: Floats, losses: Floats, available: Floats, phases: Floats) -> None:
        repeats = bool((tokens_read(weights, phases).sum(axis=1) > available).any())
        tried = [
            Exposed(weights, losses, available, phases, recency, decay)
            for recency in (RECENCIES if len(phases) > 1 else (1.0,))
            for decay in (DECAYS if repeats else (PUBLISHED_DECAY,))
        ]
        best = max(tried, key=lambda one: one.process.likelihood)
        self.parts, self.shares = [best], np.ones(1)
        self.recency, self.decay = best.recency, best.decay
        self.note = f"exposure: {len(losses)} runs, recency {self.recency:g}, decay {self.decay:g} readings"


def tokens_read(weights: Floats, phases: Floats) -> Floats:
    """(rows, phases, buckets) tokens, of (rows, phases * buckets) weights."""
    tokens: Floats = weights.reshape(len(weights), len(phases), -1) * phases[:, None]
    return tokens


def worth(weights: Floats, available: Floats, phases: Floats, recency: float, decay: float) -> Floats:
    """(rows, buckets) square roots of the share of all tokens that each bucket's readings are worth."""
    read = tokens_read(weights, phases)
    total = read.sum(axis=1)
    later = recency ** np.arange(len(phases))[::-1]
    late = (read * later[:, None]).sum(axis=1)
    share = late / late.sum(axis=1, keepdims=True)
    fresh = np.divide(worth_of(total / available, decay) * available, total, out=np.ones_like(total), where=total > 0)
    points: Floats = np.sqrt(share * fresh)
    return points


def worth_of(readings: Floats, decay: float) -> Floats:
    """First readings that so many readings are worth (2305.16264, equation 5)."""
    again = np.maximum(readings - 1, 0.0)
    if not np.isfinite(decay):
        return readings
    values: Floats = np.minimum(readings, 1.0) - decay * np.expm1(-again / decay)
    return values
