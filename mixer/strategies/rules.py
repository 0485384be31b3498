"""Mixtures by rule, with no training at all; they stand beside every search, under the same caps.

Each function gives (buckets,) weights. What a cap takes away goes to the other buckets (candidates.capped).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mixer.candidates import Floats, Space, capped
from mixer.strategies.domain2vec import aligned
from mixer.strategy import History, Problem, Target, among
from pipelines.errors import SettingsError


def natural(space: Space) -> Floats:
    """Shares of the tokens there are."""
    return _capped(space.shares, space)


def uniform(space: Space) -> Floats:
    """The same weight for every bucket; CLIMB's `Random` (2504.13161). With caps, UniMax at that many epochs."""
    return _capped(np.ones_like(space.shares), space)


def unimax(space: Space, epochs: float = 1.0) -> Floats:
    """The same weight for every bucket, none read more than `epochs` times (2304.09151, algorithm 1; 1 is its advice).

    Where the budget is more than that many epochs of everything, all are read alike: `natural`.
    """
    limits = np.minimum(space.limits, epochs * space.once)
    if limits.sum() < 1:
        return natural(space)
    row: Floats = capped(np.full_like(limits, 1 / len(limits)), limits)[0]
    return row


def nearest(space: Space, counts: ArrayLike) -> Floats:
    """Shares of the target's own search documents: how many (or how much) of them each bucket would hold.

    Raises SettingsError where no document of the target falls into any bucket.
    """
    values = np.asarray(counts, np.float64)
    if values.shape != space.shares.shape:
        raise SettingsError(f"nearest: {values.shape[0]} counts for {len(space.shares)} clusters")
    if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise SettingsError(f"nearest: the target's documents per cluster are {values.tolist()}; some must be positive")
    return _capped(values, space)


def entropy(space: Space) -> Floats:
    """Square roots of the token shares, normalised.

    Our definition, since papers use the word for several rules: the w that minimises KL(w || natural) +
    KL(w || uniform), so half way from `natural` to the mixture of largest entropy. It is also the centre of
    the start sampler: a search that ends no better has learnt nothing.
    """
    return _capped(np.sqrt(space.shares), space)


def all_of(space: Space, target: Target) -> dict[str, Floats]:
    """The rules that every search trains beside its own mixtures, by name; `domain2vec` where topics are known."""
    found = {
        "natural": natural(space),
        "uniform": uniform(space),
        "nearest": nearest(space, target.counts),
        "entropy": entropy(space),
    }
    if target.composition.size:
        found["domain2vec"] = aligned(space, target.composition, target.wanted)
    return found


def known_to(problem: Problem) -> Floats:
    """(rules, buckets) the different mixtures that rules give for a problem; of a list, those nearest to them."""
    space = problem.space
    rows = [nearest_of(problem)] if problem.target is not None else []
    rows += [natural(space), uniform(space), entropy(space), unimax(space)]
    found: list[Floats] = []
    for row in (closest(problem.pool, row) if problem.listed else row for row in rows):
        if not found or not among(row[np.newaxis], np.array(found))[0]:
            found.append(row)
    return np.array(found)


def cluster_counts(cluster_ids: ArrayLike, num_buckets: int) -> Floats:
    """Documents in each bucket; ids outside 0 .. num_buckets - 1 (pruned clusters) are left out."""
    ids = np.asarray(cluster_ids, np.int64)
    inside = ids[(ids >= 0) & (ids < num_buckets)]
    return np.bincount(inside, minlength=num_buckets).astype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """A rule as a strategy: the same mixture whatever was trained. All it proposes is one training, done once."""

    weights: Floats
    name: str

    def propose(self, history: History, n: int) -> Floats:
        return np.tile(self.weights, (n, 1))

    def recommend(self, history: History) -> Floats:
        return self.weights

    def fit(self, history: History) -> None:
        return None


def rule(name: str, weights: Callable[[Problem], Floats]) -> Callable[[Problem], Rule]:
    """What makes the strategy of a rule from a problem; where only listed mixtures count, the nearest of them."""

    def made(problem: Problem) -> Rule:
        found = weights(problem)
        return Rule(closest(problem.pool, found) if problem.listed else found, name)

    return made


def closest(pool: Floats, weights: Floats) -> Floats:
    """The row at the smallest Hellinger distance, which like the predictors looks at square roots."""
    row: Floats = pool[np.argmin(((np.sqrt(pool) - np.sqrt(weights)) ** 2).sum(axis=1))]
    return row


def nearest_of(problem: Problem) -> Floats:
    if problem.target is None:
        raise SettingsError("nearest needs the target's documents, and none are given")
    return nearest(problem.space, problem.target.counts)


def _capped(weights: Floats, space: Space) -> Floats:
    row: Floats = capped(weights / weights.sum(), space.limits)[0]
    return row
