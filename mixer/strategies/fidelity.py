"""Bayesian optimisation over trials of several costs, after ADMIRE-BayesOpt (2508.11551): cheap ones where they tell.

A trial is a mixture at a fidelity: of the target's tokens the share that it is trained on, which is also what it costs.
Each is chosen for what it would improve, over its cost. What counts is the lowest posterior mean at the target, since
that is what the search ends with; a trial moves the target's mean of its own mixture, and by how much it may move it
is known before (the knowledge gradient of one mixture: of a trial of the target without noise it is the expected
improvement). So a cheap trial whose bias leaves the target's loss open is worth little however often it is repeated
nearby, where augmented expected improvement (Huang, Allen, Notz and Miller 2006) goes on paying for it: tried on
RegMix's table it bought ten times as many for the same end. ADMIRE takes max-value entropy over cost, which tried on
planted problems ended further from the best while little was spent, and recommends its acquisition's largest; this ends
with the lowest posterior mean, since a final choice explores nothing.

BoTorch, which ADMIRE is built on, would add 36 MB of packages and seconds to every start, for a model of a few
hundred rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mixer.candidates import Floats
from mixer.predictors.fidelity import TARGET, FittedFidelities, Joint
from mixer.strategies.bayes import AROUND, around, distinct, improvement
from mixer.strategy import History, Problem, Proposals, among
from pipelines.errors import SettingsError

SHORTLIST = 256  # candidates that are weighed at every fidelity while a round is chosen
MIN_NOISE = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class MultiFidelity:
    """`start`: (rows, buckets) of the first round; `pool`: ranked, with draws about the best.

    `fidelities`: what trials may be bought at, shares of the target's tokens, one of them 1.
    """

    start: Floats
    pool: Floats
    limits: Floats
    fidelities: tuple[float, ...] = (TARGET,)
    seed: int = 42
    name: str = "bayes-fidelity"

    def __post_init__(self) -> None:
        known = sorted(set(self.fidelities))
        if not known or known[0] <= 0 or known[-1] != TARGET or len(known) < len(self.fidelities):
            raise SettingsError(f"fidelities {list(self.fidelities)}: different ones in (0, 1], and one is 1")

    def propose(self, history: History, n: int) -> Floats:
        """(n, buckets) mixtures to train at the target, whatever else may be bought."""
        return self._bought(history, n, (TARGET,)).weights

    def buy(self, history: History, n: int) -> Proposals:
        """Mixtures and fidelities for no more than n trials of the target cost, until nothing more fits."""
        return self._bought(history, n, tuple(sorted(self.fidelities)))

    def recommend(self, history: History) -> Floats:
        """(buckets,) the lowest posterior mean at the target, of what was trained at any fidelity."""
        weights: Floats = history.weights[np.argmin(self.fit(history).mean(history.weights))]
        return weights

    def fit(self, history: History) -> FittedFidelities:
        return FittedFidelities(history.weights, history.fidelities, history.losses)

    def _bought(self, history: History, n: int, fidelities: tuple[float, ...]) -> Proposals:
        if not len(history):
            counts = design(n, fidelities, len(self.start))
            first = np.concatenate([self.start[:count] for count in counts.values()])
            return Proposals(first, np.repeat(list(counts), list(counts.values())))
        fitted = self.fit(history)
        best = float(fitted.mean(history.weights).min())
        rows = self._candidates(history, fitted)
        mean, variance = fitted.latent(rows)
        worth = improvement(best - mean, np.sqrt(variance))
        rows = rows[np.argsort(-worth, kind="stable")[: max(SHORTLIST, n)]]
        untried = np.array([~among(rows, history.weights[history.fidelities == at]) for at in fidelities])
        found = chosen(fitted, rows, untried, fidelities, best=best, budget=n)
        left = n - sum(fidelities[at] for _, at in found)
        if left > fidelities[0] + 1e-9:
            raise SettingsError(f"every candidate was tried, with {left:g} trials left; raise search.candidates")
        return Proposals(rows[[row for row, _ in found]], np.array([fidelities[at] for _, at in found]))

    def _candidates(self, history: History, fitted: FittedFidelities) -> Floats:
        """What was tried, at whatever fidelity, the rest of the pool, and draws about the pool's best; each once."""
        tried = np.unique(history.weights, axis=0)
        best = self.pool[np.argmin(fitted.mean(self.pool))]
        random = np.random.default_rng([self.seed, 3, history.num_rounds])
        fresh = self.pool[~among(self.pool, history.tried)]
        return distinct(np.concatenate([tried, fresh, around(best, self.limits, AROUND, random)]))


def multi_fidelity(problem: Problem) -> MultiFidelity:
    return MultiFidelity(problem.start, problem.pool, problem.space.limits, problem.fidelities, problem.seed)


def design(budget: float, fidelities: Sequence[float], most: int) -> dict[float, int]:
    """How many trials of each fidelity a first round has, the dearest first, at most `most` of each.

    Every fidelity gets as much of the budget as any other, and what a cheap one has no mixtures for goes to the dearer;
    what is then left is less than a trial of the target. All take the same mixtures from the first on, so that what is
    cheap is seen beside what it stands for.
    """
    counts: dict[float, int] = {}
    left = float(budget)
    for place, fidelity in enumerate(sorted(fidelities)):
        counts[fidelity] = min(most, int(left / (len(fidelities) - place) / fidelity + 1e-9))
        left -= counts[fidelity] * fidelity
    for fidelity in sorted(fidelities, reverse=True):
        more = min(most - counts[fidelity], int(left / fidelity + 1e-9))
        counts[fidelity] += more
        left -= more * fidelity
    if left > TARGET - 1e-9:
        raise SettingsError(f"a round of {budget:g} trials, but {most} mixtures are drawn for it")
    return dict(sorted(counts.items(), reverse=True))


def chosen(
    fitted: FittedFidelities,
    rows: Floats,
    untried: NDArray[np.bool_],
    fidelities: Sequence[float],
    *,
    best: float,
    budget: float,
    most: int | None = None,
) -> list[tuple[int, int]]:
    """Trials as (row, place of the fidelity), each of the largest improvement over its cost, given those before it.

    `untried` (fidelities, rows): what may be bought. As many as the budget pays, and no more than `most`. Those before
    are believed to come out as expected, as in mixer/strategies/bayes.py: means stay, and what they tell is known.
    """
    costs = np.asarray(fidelities, np.float64)
    mean = fitted.mean(rows)
    joint = Joint(fitted, rows, (*fidelities, TARGET))  # its mean is what a trial moves, for sale or not
    own, shared = joint.with_target()
    open_ones = untried.copy()
    found: list[tuple[int, int]] = []
    known: list[Floats] = []  # of each one chosen, what it tells of all
    while most is None or len(found) < most:
        affordable = open_ones & (costs <= budget + 1e-9)[:, None]
        if not affordable.any():
            break
        moved = np.abs(shared[:-1]) / np.sqrt(np.maximum(own[:-1], 0.0) + max(fitted.noise, MIN_NOISE))
        worth = np.where(affordable, improvement(best - mean, moved) / costs[:, None], -np.inf)
        at, row = (int(place) for place in np.unravel_index(np.argmax(worth), worth.shape))
        found.append((row, at))
        open_ones[at, row] = False
        budget -= costs[at]
        best = min(best, float(mean[row]))
        told = joint.with_all(at, row) - sum(earlier * earlier[at, row] for earlier in known)
        told /= np.sqrt(max(told[at, row], 0.0) + max(fitted.noise, MIN_NOISE))
        known.append(told)
        own -= told**2
        shared -= told * told[-1]
    return found
