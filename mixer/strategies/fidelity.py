"""Bayesian optimisation over trials of several costs, after ADMIRE-BayesOpt (2508.11551): cheap ones where they tell.

Each trial is the mixture and the fidelity for which the expected improvement at the target, times how well the trial
would tell of the target, over its cost, is largest (Huang, Allen, Notz and Miller 2006, augmented expected
improvement). ADMIRE takes max-value entropy over cost instead, and ends with its acquisition's largest; this ends
with the lowest posterior mean at the target, since a final choice explores nothing.

Fidelities are relative costs, 1 for the target's: a proxy of a tenth of the tokens is 0.1. BoTorch, which ADMIRE is
built on, would add 36 MB of packages and seconds to every start, for a model of a few hundred rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mixer.candidates import Floats
from mixer.predictors.fidelity import TARGET, FittedFidelities
from mixer.strategies.bayes import improvement
from mixer.strategy import among, first
from pipelines.errors import SettingsError


@dataclass(frozen=True, slots=True, eq=False)
class FidelityHistory:
    """Successful trials: weights (trials, buckets), fidelities (trials,) in (0, 1], losses (trials,)."""

    weights: Floats
    fidelities: Floats
    losses: Floats

    def __len__(self) -> int:
        return len(self.losses)

    def at(self, fidelity: float) -> Floats:
        """(trials, buckets) weights of those of one fidelity."""
        rows: Floats = self.weights[self.fidelities == fidelity]
        return rows


@dataclass(frozen=True, slots=True, eq=False)
class MultiFidelity:
    """`start`: (rows, buckets) that the first trials take, at the lowest fidelity; `pool`: (rows, buckets) ranked.

    `costs`: of a trial at each fidelity, in any unit; one is the target's. `first_trials`: before anything is fitted.
    """

    start: Floats
    pool: Floats
    costs: dict[float, float]
    first_trials: int = 8
    name: str = "bayes-fidelity"

    def __post_init__(self) -> None:
        wrong = [fidelity for fidelity, cost in self.costs.items() if not (0 < fidelity <= TARGET and cost > 0)]
        if TARGET not in self.costs or wrong:
            raise SettingsError(f"fidelities {sorted(self.costs)}: they lie in (0, 1], cost something, and one is 1")

    def propose(self, history: FidelityHistory, allowed: dict[float, Floats] | None = None) -> tuple[Floats, float]:
        """The next mixture and its fidelity. `allowed`: the rows open at each fidelity, where not the whole pool."""
        lowest = min(self.costs)
        if len(history) < self.first_trials:
            return first(self.start[len(history) :], 1)[0], lowest
        fitted = FittedFidelities(history.weights, history.fidelities, history.losses)
        best = float(fitted.mean(history.weights).min())
        found: list[tuple[float, int, float]] = []
        rows_at: dict[float, Floats] = {}
        for fidelity, cost in self.costs.items():
            rows = self.pool if allowed is None else allowed[fidelity]
            rows = rows_at[fidelity] = rows[~among(rows, history.at(fidelity))]
            if len(rows):
                worth = augmented(fitted, rows, fidelity, best) / cost
                found.append((float(worth.max()), int(np.argmax(worth)), fidelity))
        if not found:
            raise SettingsError("every candidate was tried at every fidelity; raise search.candidates")
        _, row, fidelity = max(found)
        return rows_at[fidelity][row], fidelity

    def recommend(self, history: FidelityHistory, rows: Floats | None = None) -> Floats:
        """(buckets,) the lowest posterior mean at the target, of the pool or of `rows`."""
        fitted = FittedFidelities(history.weights, history.fidelities, history.losses)
        options = self.pool if rows is None else rows
        best: Floats = options[np.argmin(fitted.mean(options))]
        return best


def augmented(fitted: FittedFidelities, rows: Floats, fidelity: float, best: float) -> Floats:
    """(rows,) expected improvement at the target, times what a trial at the fidelity would settle of it."""
    target = np.maximum(fitted.covariance(rows, TARGET, TARGET), 1e-18)
    own = np.maximum(fitted.covariance(rows, fidelity, fidelity), 1e-18)
    shared = fitted.covariance(rows, fidelity, TARGET)
    # Correlation of the noisy trial with the target's noiseless loss: Huang's two last factors in one.
    told = np.clip(shared / np.sqrt(target * (own + fitted.noise)), 0.0, 1.0)
    return improvement(best - fitted.mean(rows), np.sqrt(target)) * told


def costs_of(tokens: Sequence[int]) -> dict[float, float]:
    """Fidelities and costs of proxies trained on so many tokens, the most of which is the target's."""
    largest = max(tokens)
    return {count / largest: float(count) for count in tokens}
