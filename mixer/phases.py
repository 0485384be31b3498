"""Mixtures that change once or more in the course of a training: rows of weights, phase after phase, and draws of them.

A row of so many phases and buckets is (phases * buckets,): every phase's weights sum to 1, and the repetition caps
hold for the overall mixture, since what is read early is read. So the last phase may be as rich in a scarce bucket as
the caps over its share of the tokens allow, where the phases before leave that bucket to it. Draws hold static
mixtures, the same in every phase, so that a search among them finds a static best.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mixer import candidates
from mixer.candidates import Floats, Space, capped, in_proportion
from mixer.trial import Phase, Schedule
from pipelines.errors import SettingsError

STATIC = 4  # one draw of so many is the same in every phase
TOLERANCE = 1e-9  # of caps


def start(space: Space, shares: Sequence[float], n: int, *, seed: int) -> Floats:
    """(n, phases * buckets) distinct rows of the start sampler's draws, as `drifted`."""
    early = candidates.start(space, n, seed=seed)
    late = candidates.start(_of_last(space, shares), n, seed=seed + 1)
    return drifted(early, late, shares, space.limits, np.random.default_rng([seed, 8]))


def pool(space: Space, shares: Sequence[float], n: int, *, concentration: float, seed: int) -> Floats:
    """(rows, phases * buckets) of n draws as those of candidates.pool, as `drifted`."""
    early = candidates.pool(space, n, concentration=concentration, seed=seed)
    late = candidates.pool(_of_last(space, shares), n, concentration=concentration, seed=seed + 1)
    num = min(len(early), len(late))  # repeats are left out of both
    return drifted(early[:num], late[:num], shares, space.limits, np.random.default_rng([seed, 9]))


def drifted(
    early: Floats, late: Floats, shares: Sequence[float], limits: Floats, random: np.random.Generator
) -> Floats:
    """Rows that go from the mixture `early` some way towards `late`, both (rows, buckets), evenly from phase to phase.

    How far is uniform, and nowhere at all in every fourth row.
    """
    far = random.random(len(early))
    far[::STATIC] = 0.0
    times = np.linspace(0.0, 1.0, len(shares))
    parts = [(1 - far * time)[:, None] * early + (far * time)[:, None] * late for time in times]
    return within(np.concatenate(parts, axis=1), shares, limits)


def within(rows: Floats, shares: Sequence[float], limits: Floats) -> Floats:
    """(rows, phases * buckets) whose overall mixture keeps the limits; rows that keep them come back unchanged.

    What an overall mixture has too much of goes to other buckets (candidates.capped). Of what is then left of each
    bucket the last phase takes what it wants first, the one before it of the rest, and so on.
    """
    mixed = overall(rows, shares)
    over = (mixed > limits + TOLERANCE).any(axis=1)
    found = rows.copy()
    left = capped(mixed[over], limits)
    wanted = parts_of(rows[over], len(shares))
    made = np.empty_like(wanted)
    for phase in range(len(shares) - 1, 0, -1):
        made[:, phase] = _poured(wanted[:, phase], left / shares[phase])
        left = np.maximum(left - shares[phase] * made[:, phase], 0.0)
    made[:, 0] = left / left.sum(axis=1, keepdims=True)
    found[over] = made.reshape(len(made), rows.shape[1])
    return found


def static(weights: Floats, num: int) -> Floats:
    """(rows, phases * buckets) of (rows, buckets): the same in each of `num` phases."""
    return np.tile(weights, (1, num))


def overall(rows: Floats, shares: Sequence[float]) -> Floats:
    """(rows, buckets) share of each bucket in all tokens."""
    mixed: Floats = np.einsum("p,rpb->rb", np.asarray(shares), parts_of(rows, len(shares)))
    return mixed


def parts_of(rows: Floats, num: int) -> Floats:
    """(rows, phases, buckets)."""
    return rows.reshape(len(rows), num, rows.shape[1] // num)


def lengths(shares: Sequence[float], tokens: int) -> tuple[int, ...]:
    """Tokens of each phase; rounding falls to the next."""
    ends = [round(tokens * sum(shares[: index + 1])) for index in range(len(shares) - 1)] + [tokens]
    return tuple(end - begin for begin, end in zip([0, *ends], ends, strict=False))


def schedule(row: Floats, shares: Sequence[float], tokens: int) -> Schedule:
    """The schedule of a row; a mixture that never changes is one phase, and so the same training as a static one.

    No shares: the row is (buckets,).
    """
    if not shares:
        return Schedule.static(row, tokens)
    parts = row.reshape(len(shares), -1)
    if (parts == parts[0]).all():
        return Schedule.static(parts[0], tokens)
    return Schedule(tuple(Phase(num, tuple(part)) for num, part in zip(lengths(shares, tokens), parts, strict=True)))


def row_of(schedule: Schedule, num: int) -> Floats:
    """(phases * buckets,) of a schedule of `num` phases or of one; of num = 1, the weights of all tokens."""
    if num == 1:
        return np.array(schedule.weights)
    parts = schedule.phases * num if len(schedule.phases) == 1 else schedule.phases
    return np.concatenate([phase.weights for phase in parts])


def told(schedule: Schedule) -> dict[str, Any]:
    """For JSON, beside the overall weights: `phases`, each with its share of the tokens; nothing where there is one."""
    if len(schedule.phases) == 1:
        return {}
    total = schedule.tokens
    return {"phases": [{"share": one.tokens / total, "weights": list(one.weights)} for one in schedule.phases]}


def _poured(rows: Floats, limits: Floats) -> Floats:
    """As candidates.capped, with limits (rows, buckets) of each row's own."""
    full = np.zeros(rows.shape, bool)
    found = rows
    while (over := (found > limits) & ~full).any():
        full |= over
        room = 1 - np.where(full, limits, 0.0).sum(axis=1, keepdims=True)
        others = np.where(full, 0.0, rows)
        bare = others.sum(axis=1) == 0
        others[bare] = np.where(full[bare], 0.0, limits[bare])
        changed = full.any(axis=1, keepdims=True)
        found = np.where(changed, np.where(full, limits, in_proportion(others, room)), rows)
    return found


def _of_last(space: Space, shares: Sequence[float]) -> Space:
    """What the last phase may be where those before leave it all of a bucket."""
    return replace(space, limits=np.minimum(1.0, space.limits / shares[-1]))


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """Rows whose first phases stand at `fixed` (phases, buckets), maybe none, and whose others are all one mixture."""

    shares: tuple[float, ...]
    fixed: Floats

    @classmethod
    def whole(cls, shares: tuple[float, ...], num_buckets: int) -> Self:
        """No phase stands: static mixtures."""
        return cls(shares, np.empty((0, num_buckets)))

    @property
    def _left(self) -> float:
        """Share of the tokens that is not fixed."""
        return float(sum(self.shares[len(self.fixed) :]))

    def space(self, space: Space) -> Space:
        """Of the mixture that is searched: what the phases before leave of each bucket, over its share of the tokens.

        Raises SettingsError where the fixed phases alone are over a cap.
        """
        used = np.asarray(self.shares[: len(self.fixed)]) @ self.fixed
        over = np.flatnonzero(used > space.limits + TOLERANCE)
        if len(over):
            raise SettingsError(
                f"the first phases read cluster {over[0]} {used[over[0]] / space.limits[over[0]]:.2g} times as often as"
                " search.max_epochs allows for all phases; raise it, or take other first phases"
            )
        limits = np.minimum(1.0, np.maximum(space.limits - used, 0.0) / self._left)
        return Space(space.shares, limits, np.maximum(space.once - used, 1e-12) / self._left)

    def expand(self, weights: Floats) -> Floats:
        """(rows, phases * buckets) of (rows, buckets)."""
        before = np.tile(self.fixed.reshape(1, -1), (len(weights), 1))
        return np.concatenate([before, static(weights, len(self.shares) - len(self.fixed))], axis=1)

    def reduce(self, rows: Floats) -> Floats:
        """(rows, buckets) of the last phase."""
        return parts_of(rows, len(self.shares))[:, -1]

    def holds(self, rows: Floats) -> NDArray[np.bool_]:
        """(rows,) whether these are such rows."""
        apart = np.abs(self.expand(self.reduce(rows)) - rows)
        return np.asarray((apart <= TOLERANCE).all(axis=1))
