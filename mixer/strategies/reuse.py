"""Mixture reuse (Olmix, 2602.12237, section 5): buckets whose inner shares are frozen are searched as one.

When a corpus grows or one part of it changes, an earlier mixture of the untouched parts still stands: only how much
they get together is asked again, beside the new parts. So a search over hundreds of buckets becomes one over a few,
which needs as many fewer trials. Any strategy works in the smaller space; `Frozen` translates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mixer.candidates import Floats, Space
from mixer.prediction import Fitted, Prediction
from mixer.strategy import History, Proposals, Strategy, Target, proposed
from pipelines.errors import SettingsError


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """`inner` (groups, buckets): the frozen shares of each group's buckets; rows sum to 1, a bucket is in one row."""

    inner: Floats

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

    def space(self, space: Space) -> Space:
        """The space of group weights: a group may grow until the first of its buckets is at its limit."""
        if len(self.inner) < 2:
            raise SettingsError("one frozen group holds every cluster, so nothing is left to search; freeze fewer")
        member = self.inner > 0
        limits, once = (
            np.min(np.where(member, values / np.where(member, self.inner, 1.0), np.inf), axis=1)
            for values in (space.limits, space.once)
        )
        limits = np.minimum(limits, 1.0)
        if limits.sum() < 1 - 1e-9:
            raise SettingsError("frozen groups leave no mixture within the caps; freeze less, or raise max_epochs")
        return Space((member @ space.shares), limits, once)

    def expand(self, weights: Floats) -> Floats:
        """(rows, groups) or (groups,) to buckets; of several phases each by itself."""
        if weights.shape[-1] > len(self.inner):
            phases = weights.reshape(-1, len(self.inner)) @ self.inner
            return phases.reshape(*weights.shape[:-1], -1)
        found: Floats = weights @ self.inner
        return found

    def target(self, target: Target) -> Target:
        """The target as groups see it."""
        counts = self.reduce(target.counts[np.newaxis])[0]
        return Target(counts, target.composition @ self.inner.T, target.wanted)

    def reduce(self, weights: Floats) -> Floats:
        """(rows, buckets) to what each group has; of mixtures with other inner shares, only the sums are kept."""
        member = (self.inner > 0).T.astype(np.float64)
        if weights.shape[-1] > len(member):
            parts = weights.reshape(-1, len(member)) @ member
            return parts.reshape(len(weights), weights.shape[1] // len(member) * len(self.inner))
        found: Floats = weights @ member
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Frozen:
    """A strategy of groups, seen as one of buckets."""

    groups: Groups
    strategy: Strategy

    @property
    def name(self) -> str:
        return f"{self.strategy.name}-reuse"

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
