"""Domain2Vec (2506.10952): with no training, the mixture whose topics are distributed like the target's.

The paper's alignment (DA2) with the corpus's own topics in the place of its 260 meta-domains: of each bucket and of
the target, what share lies in each topic; the weights make the mixture's shares closest to the target's, by Huber's
distance, the best ranked of those it tries. It draws candidates; the problem is convex and solved here. Of a corpus
mixer/topics.py tells the topics.
"""

from collections.abc import Callable

import numpy as np

from mixer.candidates import Floats, Space
from mixer.strategies.simplex import minimised
from mixer.strategy import Problem
from pipelines.errors import SettingsError

STRAIGHT = 0.05  # shares further apart than this count by distance, not by its square
STRENGTH = 1e-6  # of a pull to the natural shares, which decides between mixtures that are equally close


def domain2vec(problem: Problem) -> Floats:
    """(buckets,) weights; SettingsError where the topics of buckets and target are not known."""
    if problem.target is None or not problem.target.composition.size:
        raise SettingsError("domain2vec needs the topics of the buckets and of the target's documents")
    return aligned(problem.space, problem.target.composition, problem.target.wanted)


def aligned(space: Space, composition: Floats, wanted: Floats) -> Floats:
    """Weights within the limits for which composition @ weights is closest to `wanted`.

    composition (topics, buckets) and wanted (topics,): shares that sum to 1 over the topics.
    """
    expected = (len(wanted), len(space.shares))
    if composition.shape != expected:
        raise SettingsError(f"domain2vec: the composition is {composition.shape}, and {expected} (topics, buckets) fit")
    return minimised(huber(composition, wanted), space.limits, space.shares, strength=STRENGTH)


def huber(composition: Floats, wanted: Floats) -> Callable[[Floats], tuple[float, Floats]]:
    """Huber's distance of the mixture's topics from those wanted, and its gradient."""

    def value(weights: Floats) -> tuple[float, Floats]:
        apart = composition @ weights - wanted
        bent = np.clip(apart, -STRAIGHT, STRAIGHT)
        return float((bent * (apart - bent / 2)).sum()), composition.T @ bent

    return value
