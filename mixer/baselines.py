"""Mixtures by rule, with no training at all; they stand beside every search, under the same caps.

Each function gives (buckets,) weights. What a cap takes away goes to the other buckets (candidates.capped).
"""

import numpy as np
from numpy.typing import ArrayLike

from mixer.candidates import Floats, Space, capped
from pipelines.errors import SettingsError


def natural(space: Space) -> Floats:
    """Shares of the tokens there are."""
    return _capped(space.shares, space)


def uniform(space: Space) -> Floats:
    """The same weight for every bucket; CLIMB's `Random` (2504.13161). With caps, UniMax (2304.09151)."""
    return _capped(np.ones_like(space.shares), space)


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


def rules(space: Space, counts: ArrayLike) -> dict[str, Floats]:
    """All of the above, by name."""
    return {
        "natural": natural(space),
        "uniform": uniform(space),
        "nearest": nearest(space, counts),
        "entropy": entropy(space),
    }


def cluster_counts(cluster_ids: ArrayLike, num_buckets: int) -> Floats:
    """Documents in each bucket; ids outside 0 .. num_buckets - 1 (pruned clusters) are left out."""
    ids = np.asarray(cluster_ids, np.int64)
    inside = ids[(ids >= 0) & (ids < num_buckets)]
    return np.bincount(inside, minlength=num_buckets).astype(np.float64)


def _capped(weights: Floats, space: Space) -> Floats:
    row: Floats = capped(weights / weights.sum(), space.limits)[0]
    return row
