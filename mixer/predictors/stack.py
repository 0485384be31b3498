"""Several predictors together, weighed by how well each does on rows it has not seen (Breiman 1996, stacking).

Weights are not negative and sum to 1, so that the whole never lies outside its parts; they are fitted to predictions
of held-out folds, after which every part is refitted on all rows. Few and noisy runs say little of which part is
better, and weights fitted to them alone cost several points of rank correlation: until the folds say otherwise, all
weight is the first part's, as if a dozen further rows had been predicted best by it alone. Their weight is in
units of that part's own error: in those of the losses' variance, where both parts predict well, it would outweigh all
that the folds can say.

A process and boosted trees err apart: on the public tables trees add a third of a point of correlation where single
texts are predicted from 64 runs on, and where the process alone is best, together they are less than a third behind.
A third part, laws or the RegMix trees, brings no more (`infra/benchmarks/mixer/bench_predictors.py`).
"""

from dataclasses import dataclass, field

import numpy as np

from mixer.candidates import Floats
from mixer.prediction import Fitted, Prediction, Predictor
from mixer.predictors.kriging import Kriging
from mixer.predictors.trees import LightGBM
from mixer.predictors.validation import Rows, unseen

REPEATS = 1
TRUST = 12.0  # rows, in units of the first part's mean squared error, that speak for it
TREES_RUNS = 12  # under which trees have nothing to split
MIN_RUNS = 8  # under which folds say nothing of their parts, and the first is all


def _parts() -> tuple[Predictor, ...]:
    return (Kriging(), LightGBM(min_runs=TREES_RUNS, name="lightgbm-climb"))


@dataclass(frozen=True, slots=True)
class Stack:
    """The weighted mean of `parts`, of which the first is trusted most."""

    parts: tuple[Predictor, ...] = field(default_factory=_parts)
    seed: int = 42
    name: str = "stack"

    def fit(self, weights: Floats, losses: Floats) -> Fitted:
        random = np.random.default_rng([self.seed, len(losses)])
        shares, error = np.eye(len(self.parts))[0], float(losses.std())
        if len(losses) >= MIN_RUNS:
            held_out = np.mean([self._held_out(weights, losses, random) for _ in range(REPEATS)], axis=0)
            shares = shares_of(held_out, losses, TRUST)
            error = float(np.sqrt(((shares @ held_out - losses) ** 2).mean()))
        names = tuple(part.name for part in self.parts)
        return FittedStack(tuple(part.fit(weights, losses) for part in self.parts), names, shares, error)

    def _held_out(self, weights: Floats, losses: Floats, random: np.random.Generator) -> Floats:
        """(parts, rows) predictions of every row by what has not seen it."""

        def by(part: Predictor, folds: np.random.Generator) -> Floats:
            def fit(rows: Rows) -> Fitted:
                return part.fit(weights[rows], losses[rows])

            return unseen(fit, weights, folds)

        state = int(random.integers(1 << 32))  # the same folds for all parts
        return np.array([by(part, np.random.default_rng(state)) for part in self.parts])


class FittedStack:
    """Fitted parts and their shares; the spread is the error of the whole on held-out folds."""

    def __init__(self, parts: tuple[Fitted, ...], names: tuple[str, ...], shares: Floats, error: float) -> None:
        self._parts, self.shares, self._error = parts, shares, error
        told = ", ".join(f"{name} {share:.2f}" for name, share in zip(names, shares, strict=True))
        self.note = f"stack: {told}"

    def mean(self, weights: Floats) -> Floats:
        total = np.zeros(len(weights))
        for share, part in zip(self.shares, self._parts, strict=True):
            if share:
                total += share * part.mean(weights)
        return total

    def predict(self, weights: Floats) -> Prediction:
        return Prediction(self.mean(weights), np.full(len(weights), self._error))


def shares_of(predicted: Floats, losses: Floats, trust: float = 0.0) -> Floats:
    """(parts,) shares of 0 or more that sum to 1 and bring the weighted predictions closest to the losses.

    `trust`: rows' worth of the first part's squared error that a whole share taken from it costs.
    """
    from scipy.optimize import nnls

    num = len(predicted)
    scale = float(np.sqrt(((predicted[0] - losses) ** 2).mean())) or 1.0
    errors = (predicted - losses) / scale
    # Sum to 1 as a row of the least-squares problem, heavy enough to hold; then exactly.
    heavy = 1e3 * np.sqrt(len(losses))
    weight = np.sqrt(trust)
    rows = np.vstack([errors.T, weight * np.eye(num), np.full(num, heavy)])
    found, _ = nnls(rows, np.concatenate([np.zeros(len(losses)), weight * np.eye(num)[0], [heavy]]))
    shares: Floats = found / found.sum()
    return shares
