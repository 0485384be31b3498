"""Searches in a smaller space: frozen groups of buckets, and least and most shares.

Mixture reuse (Olmix, 2602.12237, section 5): buckets whose inner shares are frozen are searched as one.

When a corpus grows or one part of it changes, an earlier mixture of the untouched parts still stands: only how much
they get together is asked again, beside the new parts. So a search over hundreds of buckets becomes one over a few,
which needs as many fewer trials.

Of a bucket with a least share that share stands, and only what is left of the tokens is searched; a most share is a
limit like those of repetition. Any strategy works in the smaller space; `Frozen` translates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from mixer.candidates import Floats, Space
from mixer.prediction import Fitted, Prediction
from mixer.strategy import History, Proposals, Strategy, Target, proposed
from pipelines.errors import SettingsError


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """`inner` (groups, buckets): the frozen shares of each group's buckets; rows sum to 1, a bucket is in one row.

    floors, ceilings (buckets,): the least and the most weight of each in a mixture.
    """

    inner: Floats
    floors: Floats = field(default_factory=lambda: np.empty(0))
    ceilings: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        num = self.inner.shape[1]
        object.__setattr__(self, "floors", self.floors if len(self.floors) else np.zeros(num))
        object.__setattr__(self, "ceilings", self.ceilings if len(self.ceilings) else np.ones(num))

    @classmethod
    def of(cls, num_buckets: int, frozen: Sequence[tuple[Sequence[int], Sequence[float]]]) -> "Groups":
        """Frozen groups, each its buckets and their weights, then every other bucket by itself.

        Raises SettingsError for a bucket that is in two groups or none there is, and for weights that are no shares.
        """
        rows = []
        taken: set[int] = set()
        for buckets, weights in frozen:
            values = np.asarray(weights, np.float64)
            if len(buckets) != len(values) or not (np.isfinite(values).all() and (values >= 0).all() and values.any()):
                raise SettingsError(f"a frozen group of buckets {list(buckets)} has the weights {values.tolist()}")
            wrong = [b for b in buckets if b in taken or not 0 <= b < num_buckets]
            if wrong or len(set(buckets)) < len(buckets):
                raise SettingsError(f"frozen group {list(buckets)}: each bucket is one of {num_buckets}, in one group")
            taken |= set(buckets)
            row = np.zeros(num_buckets)
            row[list(buckets)] = values / values.sum()
            rows.append(row)
        single = [np.eye(num_buckets)[bucket] for bucket in range(num_buckets) if bucket not in taken]
        return cls(np.array([*rows, *single]))

    def bounded(self, bounds: Sequence[tuple[int, float, float]]) -> "Groups":
        """The same with (bucket, least, most) weights; SettingsError for a bucket in a frozen group or named twice."""
        floors, ceilings = self.floors.copy(), self.ceilings.copy()
        alone = {int(row.argmax()) for row in self.inner if np.count_nonzero(row) == 1}
        named = [bucket for bucket, _, _ in bounds]
        wrong = sorted({bucket for bucket in named if bucket not in alone or named.count(bucket) > 1})
        if wrong:
            raise SettingsError(f"search.bounds: cluster {wrong[0]} is in a frozen group, or named twice")
        for bucket, least, most in bounds:
            floors[bucket], ceilings[bucket] = least, most
        return Groups(self.inner, floors, ceilings)

    @property
    def left(self) -> float:
        """Share of the tokens that the floors leave."""
        return float(1 - self.floors.sum())

    def space(self, space: Space) -> Space:
        """The space of group weights: a group may grow until the first of its buckets is at its limit."""
        if len(self.inner) < 2:
            raise SettingsError("one frozen group holds every cluster, so nothing is left to search; freeze fewer")
        member = self.inner > 0
        caps = np.minimum(space.limits, self.ceilings)
        over = np.flatnonzero(self.floors > caps)
        if len(over):
            told = f"least share {self.floors[over[0]]:g}, but caps on repetition allow {caps[over[0]]:.3g}"
            raise SettingsError(
                f"search.bounds: cluster {over[0]} has the {told}; lower it, or raise search.max_epochs"
            )
        if not self.left > 0:
            raise SettingsError("search.bounds: the least shares make a whole mixture, so nothing is left to search")
        limits, once = (
            np.min(np.where(member, values / np.where(member, self.inner, 1.0), np.inf), axis=1)
            for values in ((caps - self.floors) / self.left, np.maximum(space.once - self.floors, 1e-12) / self.left)
        )
        limits = np.minimum(limits, 1.0)
        if limits.sum() < 1 - 1e-9:
            raise SettingsError(
                "frozen groups and bounds leave no mixture within the caps; freeze or bound less, or raise max_epochs"
            )
        shares = np.maximum(space.shares - self.floors, 1e-3 * space.shares) if self.floors.any() else space.shares
        return Space(member @ (shares / shares.sum()) if self.floors.any() else member @ shares, limits, once)

    def expand(self, weights: Floats) -> Floats:
        """(rows, groups) or (groups,) to buckets; of several phases each by itself."""
        parts = weights.reshape(-1, len(self.inner)) @ self.inner * self.left + self.floors
        return parts.reshape(*weights.shape[:-1], weights.shape[-1] // len(self.inner) * self.inner.shape[1])

    def target(self, target: Target) -> Target:
        """The target as groups see it: what the floors leave of it."""
        member = (self.inner > 0).T.astype(np.float64)
        counts, wanted = target.counts, target.wanted
        if self.floors.any():
            left = np.maximum(counts / max(counts.sum(), 1e-12) - self.floors, 0.0)
            counts = left if left.any() else counts
            if len(wanted):
                wanted = np.maximum(wanted - target.composition @ self.floors, 0.0) / self.left
        return Target(counts @ member, target.composition @ self.inner.T, wanted)

    def reduce(self, weights: Floats) -> Floats:
        """(rows, buckets) to what each group has; of mixtures with other inner shares, only the sums are kept."""
        member = (self.inner > 0).T.astype(np.float64)
        parts = np.maximum((weights.reshape(-1, len(member)) - self.floors) / self.left, 0.0) @ member
        return parts.reshape(*weights.shape[:-1], weights.shape[-1] // len(member) * len(self.inner))


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """A strategy of the smaller space, seen as one of buckets."""

    groups: Groups
    strategy: Strategy

    @property
    def name(self) -> str:
        frozen = len(self.groups.inner) < self.groups.inner.shape[1]
        return f"{self.strategy.name}-reuse" if frozen else self.strategy.name

    def propose(self, history: History, n: int) -> Floats:
        return self.groups.expand(self.strategy.propose(self._reduced(history), n))

    def buy(self, history: History, n: int) -> Proposals:
        found = proposed(self.strategy, self._reduced(history), n)
        return replace(found, weights=self.groups.expand(found.weights))

    def recommend(self, history: History) -> Floats:
        return self.groups.expand(self.strategy.recommend(self._reduced(history)))

    def fit(self, history: History) -> Fitted | None:
        fitted = self.strategy.fit(self._reduced(history))
        return None if fitted is None else Reduced(self.groups.reduce, fitted)

    def _reduced(self, history: History) -> History:
        return replace(history, weights=self.groups.reduce(history.weights), failed=self.groups.reduce(history.failed))


class Reduced:
    """What is fitted in a smaller space, for weights that `reduce` takes there."""

    def __init__(self, reduce: Callable[[Floats], Floats], fitted: Fitted) -> None:
        self._reduce, self._fitted, self.note = reduce, fitted, fitted.note

    def mean(self, weights: Floats) -> Floats:
        return self._fitted.mean(self._reduce(weights))

    def predict(self, weights: Floats) -> Prediction:
        return self._fitted.predict(self._reduce(weights))
