"""What a training reads: batches of a schedule, the same for the same seed, and held-out texts.

Built for paired comparisons: under one seed, bucket b's k-th sequence is the same tokens whatever the weights
are, and where in the run it comes depends on b's own number of sequences alone. Each bucket is read without
replacement, epoch by epoch, so a token repeats only once its bucket is used up.

A pool is a flat array of token ids; windows ignore where its documents end. Budgets are whole steps: the number
of tokens is rounded to the nearest multiple of batch x sequence, at least one step.
"""

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mixer.trial import Schedule
from pipelines.errors import TrialError

Tokens = NDArray[np.unsignedinteger]
Integers = NDArray[np.int64]

MAX_TOKENS = 16_384  # read of one evaluation: 0.2 s on one core for a proxy of width 64
WINDOWS, PLACES = 0, 1  # which random numbers of a bucket are meant


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Held-out token ids [T] and the UTF-8 bytes of the text that they stand for.

    One with groups is the macro-average over them, each group alike whatever its size; its own tokens are then
    not read.
    """

    tokens: Tokens
    num_bytes: int
    groups: tuple["Evaluation", ...] = ()

    @classmethod
    def macro(cls, groups: Sequence["Evaluation"]) -> Self:
        """The macro-average over groups."""
        return cls(np.empty(0, np.uint16), sum(group.num_bytes for group in groups), tuple(groups))


def batches(
    pools: Sequence[Tokens], schedule: Schedule, *, sequence: int, batch: int, seed: int, start: int = 0
) -> Iterator[Integers]:
    """Token ids [batch, sequence + 1] of every step from `start` on: inputs are [:, :-1], targets [:, 1:].

    A bucket smaller than one window is read in a circle. TrialError where a bucket with weight has under two
    tokens, or where there are not as many pools as weights.
    """
    buckets = order(schedule, sequence=sequence, batch=batch, seed=seed)
    _check(pools, schedule, np.bincount(buckets, minlength=len(pools)))
    starts = np.empty(len(buckets), np.int64)
    for bucket in np.unique(buckets):
        places = np.flatnonzero(buckets == bucket)
        starts[places] = window_starts(
            len(pools[bucket]), len(places), sequence=sequence, seed=seed, bucket=int(bucket)
        )
    for first in range(start * batch, len(buckets), batch):
        rows = range(first, first + batch)
        yield np.stack([_window(pools[buckets[row]], int(starts[row]), sequence + 1) for row in rows])


def num_steps(schedule: Schedule, *, sequence: int, batch: int) -> int:
    return max(1, round(schedule.tokens / (sequence * batch)))


def quotas(schedule: Schedule, *, sequence: int, batch: int) -> Integers:
    """Sequences [phases, buckets] by weight, by largest remainder within each phase; ties to the first bucket."""
    num_sequences = batch * num_steps(schedule, sequence=sequence, batch=batch)
    ends = np.cumsum([phase.tokens for phase in schedule.phases])
    cuts = [0, *(round(int(end) * num_sequences / int(ends[-1])) for end in ends)]
    counts = np.diff(cuts)
    return np.array([_apportioned(phase.weights, int(num)) for phase, num in zip(schedule.phases, counts, strict=True)])


def order(schedule: Schedule, *, sequence: int, batch: int, seed: int) -> Integers:
    """The bucket of every sequence of the run [steps x batch].

    The k-th of a bucket's n sequences falls at a random place in the k-th n-th of its phase: shuffled, and yet
    the mixture is kept in every stretch, which plain shuffling leaves to chance for small buckets.
    """
    phases = []
    for number, counts in enumerate(quotas(schedule, sequence=sequence, batch=batch)):
        places = [
            (np.arange(count) + _random(seed, bucket, PLACES, number).random(count)) / max(count, 1)
            for bucket, count in enumerate(counts)
        ]
        buckets = np.repeat(np.arange(len(counts)), counts)
        phases.append(buckets[np.argsort(np.concatenate(places), kind="stable")])
    return np.concatenate(phases)


def window_starts(num_tokens: int, num: int, *, sequence: int, seed: int, bucket: int) -> Integers:
    """Where a bucket's first `num` windows start [num]: every epoch a fresh shuffle of all of its windows.

    Windows share one token with the next, so that each is predicted once an epoch; the under `sequence` tokens
    that fill no window are other ones each epoch. A bucket smaller than a window has one window an epoch.
    """
    num_windows = max(1, (num_tokens - 1) // sequence)
    spare = num_tokens - num_windows * sequence
    epochs = []
    for epoch in range(-(-num // num_windows)):
        random = _random(seed, bucket, WINDOWS, epoch)
        shift = int(random.random() * (spare if spare > 0 else num_tokens))
        epochs.append(shift + sequence * np.argsort(random.random(num_windows), kind="stable"))
    return np.concatenate(epochs)[:num] if epochs else np.empty(0, np.int64)


def epochs(sizes: Sequence[int], schedule: Schedule, *, sequence: int, batch: int) -> tuple[float, ...]:
    """How often the run reads each bucket of `sizes` tokens; 0 for an empty one."""
    sequences = quotas(schedule, sequence=sequence, batch=batch).sum(axis=0)
    return tuple(float(num * sequence / size) if size else 0.0 for num, size in zip(sequences, sizes, strict=True))


# ---------------------------------------------------------------------------------------------------------
# Arrays that travel to another process by name


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A stretch of a file of token ids; pickling a memory map itself would copy the file."""

    path: str
    dtype: str
    offset: int  # bytes
    num_tokens: int


def by_name(tokens: Tokens) -> TokenFile | Tokens:
    """A memory-mapped array, or a slice of one, as its file; other arrays as they are."""
    base: object = tokens
    while isinstance(base, np.ndarray) and not isinstance(base.base, mmap.mmap):
        base = base.base
    if not isinstance(base, np.memmap) or not tokens.flags.c_contiguous:
        return np.asarray(tokens)
    offset = base.offset + (tokens.ctypes.data - base.ctypes.data)
    return TokenFile(str(base.filename), tokens.dtype.str, int(offset), len(tokens))


def opened(tokens: TokenFile | Tokens) -> Tokens:
    """The array that `by_name` named."""
    if isinstance(tokens, TokenFile):
        if tokens.num_tokens == 0:
            return np.empty(0, np.dtype(tokens.dtype))
        return np.memmap(tokens.path, tokens.dtype, "r", tokens.offset, (tokens.num_tokens,))
    return tokens


# ---------------------------------------------------------------------------------------------------------


def _apportioned(weights: Sequence[float], num: int) -> Integers:
    shares = np.array(weights, np.float64)
    exact = shares / shares.sum() * num
    counts: Integers = np.floor(exact).astype(np.int64)
    first = np.argsort(-(exact - counts), kind="stable")
    counts[first[: num - int(counts.sum())]] += 1
    return counts


def _random(seed: int, bucket: int, purpose: int, number: int) -> np.random.Generator:
    # Only `random()` is drawn from it: its bits are fixed, those of `permutation` NumPy may change.
    return np.random.default_rng([seed, bucket, purpose, number])


def _window(pool: Tokens, start: int, length: int) -> Integers:
    if start + length <= len(pool):
        return pool[start : start + length].astype(np.int64)
    return np.take(pool, np.arange(start, start + length), mode="wrap").astype(np.int64)


def _check(pools: Sequence[Tokens], schedule: Schedule, counts: Integers) -> None:
    if len(pools) != schedule.num_buckets:
        raise TrialError(f"{len(pools)} token pools for {schedule.num_buckets} weights: one pool a weight")
    for bucket, (pool, count) in enumerate(zip(pools, counts, strict=True)):
        if count and len(pool) < 2:
            raise TrialError(f"bucket {bucket} has {len(pool)} tokens and a weight: set its weight to 0, or fill it")
