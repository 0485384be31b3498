"""A selection in the order of a schedule's phases: all that the first phase reads, then all of the next.

How often each document stands is decided for the whole dataset, so that caps hold over all phases. A cluster's draws
are then shared out by what each phase is to have of it: first copies before second ones, so that nothing is read again
before the rest is read once, and among copies by the shuffle's key. Within a phase the order is that key's, as
without phases.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np
import numpy.typing as npt

from mixer.export.selection import Selection
from mixer.trial import Schedule


@dataclass(frozen=True, slots=True)
class PhaseDraw:
    """What a phase has: `rows` draws of `tokens`; share of the tokens and weights of clusters, asked for and here."""

    rows: int
    tokens: int
    share_requested: float
    share: float
    weights_requested: tuple[float, ...]
    weights: tuple[float, ...]


def in_phases(
    selection: Selection, clusters: npt.NDArray[np.integer], num_tokens: npt.NDArray[np.integer], schedule: Schedule
) -> tuple[Selection, tuple[PhaseDraw, ...]]:
    """The same draws, phase after phase; clusters and num_tokens are of the candidates that were selected from."""
    labels = clusters[selection.rows].astype(np.int64)
    sizes = num_tokens[selection.rows].astype(np.int64)
    line = np.lexsort((selection.keys, selection.copies, labels))
    phase = np.empty(len(line), np.int64)
    bounds = _bounds(schedule)
    ends = np.searchsorted(labels[line], np.arange(schedule.num_buckets + 1))
    for cluster, (begin, end) in enumerate(pairwise(ends)):
        mine = line[begin:end]
        read = np.cumsum(sizes[mine])
        middles = read - sizes[mine] / 2
        total = read[-1] if len(read) else 0
        phase[mine] = np.searchsorted(bounds[cluster] * total, middles, side="right")
    order = np.argsort(phase, kind="stable")  # draws come sorted by key
    ordered = replace(selection, rows=selection.rows[order], copies=selection.copies[order], keys=selection.keys[order])
    total = int(sizes.sum())
    drawn = []
    for number, asked in enumerate(schedule.phases):
        mine = phase == number
        held = np.zeros(schedule.num_buckets, np.int64)
        np.add.at(held, labels[mine], sizes[mine])
        tokens = int(held.sum())
        drawn.append(
            PhaseDraw(
                rows=int(mine.sum()),
                tokens=tokens,
                share_requested=asked.tokens / schedule.tokens,
                share=tokens / total if total else 0.0,
                weights_requested=asked.weights,
                weights=tuple(int(one) / tokens if tokens else 0.0 for one in held),
            )
        )
    return ordered, tuple(drawn)


def starts_of(drawn: Sequence[PhaseDraw]) -> list[int]:
    """The first row of each phase but the first."""
    return list(accumulate(one.rows for one in drawn[:-1]))


def _bounds(schedule: Schedule) -> npt.NDArray[np.float64]:
    """(buckets, phases - 1): what share of a bucket's tokens is read when each phase but the last ends."""
    read = np.cumsum([np.array(phase.weights) * phase.tokens for phase in schedule.phases], axis=0).T
    whole = read[:, -1:]
    bounds: npt.NDArray[np.float64] = np.divide(read, whole, out=np.ones_like(read), where=whole > 0)
    return bounds[:, :-1]
