"""Mixtures that may be trained: the space of weights with its repetition caps, and draws from it.

Two samplers, both of the official CLIMB recipe (NVIDIA NeMo Curator, tutorial nemotron-climb-data-curation):
the start sampler, which is RegMix's (2407.01492), for the first round, and the pool that predictors rank.
They meet a cap in different ways. The start sampler rejects, as the recipe does. The pool gives what is over
a cap to the other buckets: rejection would never reach a cap, and a narrow target's optimum lies at one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray

from mixer.journal import write_whole
from pipelines.errors import SettingsError, StoreError

Floats = NDArray[np.float64]

TEMPERATURE = 0.5  # the prior's exponent
STRENGTHS = np.logspace(np.log10(0.1), np.log10(5.0), 15)  # total concentrations, one picked for each draw
GRID = 2e-4  # weights are multiples of it; smaller ones are zero
OVERSAMPLE = 100
POOL_DIGITS = 6  # sparse draws differ by 1e-100 here and there: without rounding one mixture is many
FAINT = 1e-290  # what is left beside a limit may be so little that 1 over it is no number
ATTEMPTS = 4  # of rejection, before caps are met by giving the surplus away

SCHEMA = pa.schema(
    [
        pa.field("index", pa.int32(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("weights", pa.list_(pa.float64()), nullable=False),
        pa.field("predicted", pa.float64()),  # what the predictor said before the trial; null without one
        pa.field("spread", pa.float64()),
    ]
)
UNREADABLE = (OSError, pa.ArrowException, ValueError, KeyError)  # what Arrow and JSON say of damaged files
FIDELITY = pa.field("fidelity", pa.float64(), nullable=False)  # only where a trial is cheaper than another


@dataclass(frozen=True, slots=True, eq=False)
class Space:
    """Weights allowed: shares of the tokens there are, the largest weight of each bucket, all (buckets,).

    `once`: the weight at which the budget reads a bucket exactly one time; over 1 where it is larger than that.
    """

    shares: Floats
    limits: Floats
    once: Floats

    @classmethod
    def of(cls, token_counts: Sequence[int], *, budget_tokens: int, max_epochs: float) -> Self:
        """Weights that repeat no bucket more than `max_epochs` times in `budget_tokens` of training.

        Raises SettingsError where a bucket is empty, or where the budget is more than all buckets allow.
        """
        counts = np.asarray(token_counts, np.float64)
        if counts.ndim != 1 or len(counts) < 2:
            raise SettingsError(f"{counts.size} clusters: a mixture is searched among at least two")
        if not (np.isfinite(counts).all() and (counts > 0).all()):
            empty = [index for index, count in enumerate(counts) if not count > 0]
            raise SettingsError(f"clusters {empty} have no tokens; leave them out of the search")
        limits = np.minimum(1.0, max_epochs * counts / budget_tokens)
        if limits.sum() < 1 - 1e-9:
            raise SettingsError(
                f"{budget_tokens:,} tokens are {budget_tokens / counts.sum():.1f} epochs of all clusters"
                f" together, over max_epochs = {max_epochs}; lower the budget or raise search.max_epochs"
            )
        return cls(counts / counts.sum(), limits, counts / budget_tokens)

    @classmethod
    def free(cls, shares: ArrayLike) -> Self:
        """No caps: any mixture of buckets with these shares of the tokens."""
        known = np.asarray(shares, np.float64)
        known = known / known.sum()
        return cls(known, np.ones_like(known), known)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The mixtures of one round, with names and what was predicted of each (NaN: nothing).

    `fidelities`: the share of a trial's tokens that each is trained on; all 1 where not given.
    """

    weights: Floats
    names: tuple[str, ...]
    predicted: Floats
    spread: Floats
    fidelities: Floats = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        if not len(self.fidelities):
            object.__setattr__(self, "fidelities", np.ones(len(self.weights)))

    @classmethod
    def unpredicted(cls, weights: Floats, names: Sequence[str] = (), fidelities: Floats | None = None) -> Self:
        nothing = np.full(len(weights), np.nan)
        shares = np.ones(len(weights)) if fidelities is None else fidelities
        return cls(weights, tuple(names) or ("",) * len(weights), nothing, nothing, shares)

    @property
    def whole(self) -> NDArray[np.bool_]:
        """(rows,) whether each is trained on all tokens."""
        found: NDArray[np.bool_] = self.fidelities == 1
        return found


def start(space: Space, n: int, *, seed: int) -> Floats:
    """(n, buckets) distinct mixtures around the flattened token shares; rows are exchangeable.

    Shares ** 0.5, times one of 15 strengths, is the Dirichlet's parameter; draws over a cap are rejected,
    weights under 2e-4 become zero, the rest lies on a grid of 2e-4; of 100 n without repeats n are kept.
    Where caps are so tight that rejection leaves fewer than n, draws give their surplus away instead.
    """
    random = np.random.default_rng([seed, 0])
    prior = space.shares**TEMPERATURE / (space.shares**TEMPERATURE).sum()
    found = np.empty((0, len(prior)), np.int64)
    for attempt in range(ATTEMPTS + 1):
        draws = _dirichlet_of_any_strength(prior, OVERSAMPLE * n, random)
        allowed = draws[(draws <= space.limits).all(axis=1)]
        if attempt == ATTEMPTS:
            allowed = capped(draws, space.limits)
        found = np.unique(np.concatenate([found, _on_grid(allowed)]), axis=0)
        if len(found) >= n:
            chosen = found[random.choice(len(found), n, replace=False)]
            return capped(chosen / chosen.sum(axis=1, keepdims=True), space.limits)
    raise SettingsError(
        f"only {len(found)} different mixtures fit the caps, {n} are asked for; raise search.max_epochs, or lower"
        " dataset.tokens or search.rounds"
    )


def pool(space: Space, n: int, *, concentration: float, seed: int) -> Floats:
    """(rows, buckets) of n draws from Dirichlet(shares * concentration), what is over a cap given to others.

    Repeats are left out, so that very sparse draws give fewer than n rows.
    """
    random = np.random.default_rng([seed, 1])
    draws = np.round(random.dirichlet(space.shares * concentration, size=n), POOL_DIGITS)
    rows = capped(draws / draws.sum(axis=1, keepdims=True), space.limits)
    _, first = np.unique(np.round(rows, 9), axis=0, return_index=True)  # surplus given away leaves 1e-16 here and there
    return rows[np.sort(first)]


def capped(weights: ArrayLike, limits: Floats) -> Floats:
    """(rows, buckets) with no weight over its limit; the surplus goes to the others by their weights.

    Where all others of a row are zero it goes to them by their limits, thus by their tokens. Rows within the
    limits come back unchanged. Of equal weights it makes UniMax's (2304.09151). Limits must sum to 1 or more.
    """
    rows = np.array(np.atleast_2d(np.asarray(weights, np.float64)))
    todo = np.flatnonzero((rows > limits).any(axis=1))
    full = np.zeros((len(todo), rows.shape[1]), bool)
    while len(todo):
        part = rows[todo]
        full |= part > limits
        room = 1 - (full * limits).sum(axis=1, keepdims=True)
        others = np.where(full, 0, part)
        bare = others.sum(axis=1) == 0
        others[bare] = np.where(full[bare], 0, limits)
        part = np.where(full, limits, in_proportion(others, room))
        rows[todo] = part
        again = ((part > limits) & ~full).any(axis=1)
        todo, full = todo[again], full[again]
    return rows


def in_proportion(others: Floats, room: Floats) -> Floats:
    """(rows, buckets) of `room` (rows, 1) shared out as `others` are; of all zeros, nothing."""
    total = others.sum(axis=1, keepdims=True)
    faint = (total > 0) & (total < FAINT)
    if faint.any():
        others = np.where(faint, others / np.where(faint, others.max(axis=1, keepdims=True), 1.0), others)
        total = others.sum(axis=1, keepdims=True)
    shared: Floats = others * np.divide(room, total, out=np.zeros_like(room), where=total > 0)
    return shared


def write(path: Path, candidates: Candidates, about: dict[str, Any]) -> None:
    """Write a round's candidates as Parquet, whole or not at all; `about` goes into its metadata."""
    columns = {
        "index": np.arange(len(candidates.weights), dtype=np.int32),
        "name": list(candidates.names),
        "weights": list(candidates.weights),
        "predicted": pa.array(candidates.predicted, from_pandas=True),
        "spread": pa.array(candidates.spread, from_pandas=True),
    }
    schema = SCHEMA
    if not candidates.whole.all():
        columns["fidelity"], schema = candidates.fidelities, SCHEMA.append(FIDELITY)
    table = pa.table(columns, schema=schema.with_metadata({"sirdar": json.dumps(about, sort_keys=True)}))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, write_page_checksum=True)
    write_whole(path, sink.getvalue().to_pybytes())


def read(path: Path, about: dict[str, Any]) -> Candidates:
    """A round's candidates as written; StoreError where they were drawn for another search, or are damaged."""
    known = described(path)
    # Compared as JSON, which makes tuples lists.
    wanted = json.loads(json.dumps(about))
    if known != wanted:
        differing = sorted(key for key in known.keys() | wanted.keys() if known.get(key) != wanted.get(key))
        raise StoreError(
            f"{path} was drawn for another search ({', '.join(differing)} differ); use another search.name,"
            " or delete that search's folder"
        )
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        return Candidates(
            weights=np.array(table["weights"].to_pylist(), np.float64),
            names=tuple(table["name"].to_pylist()),
            predicted=table["predicted"].to_numpy(),
            spread=table["spread"].to_numpy(),
            fidelities=table["fidelity"].to_numpy() if "fidelity" in table.column_names else np.ones(len(table)),
        )
    except UNREADABLE as error:
        raise _damaged(path, error) from None


def described(path: Path) -> dict[str, Any]:
    """What a round's candidates were drawn for, as `write` was told; StoreError where they are damaged."""
    try:
        schema = pq.read_schema(path)
        return dict(json.loads((schema.metadata or {}).get(b"sirdar", b"{}")))
    except UNREADABLE as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> StoreError:
    told = " ".join(str(error).split())
    return StoreError(f"{path} cannot be read ({told}); delete it, and the round is proposed again, as it was")


def _dirichlet_of_any_strength(prior: Floats, n: int, random: np.random.Generator) -> Floats:
    picked = random.integers(len(STRENGTHS), size=n)
    draws = np.empty((n, len(prior)))
    for index, strength in enumerate(STRENGTHS):
        rows = np.flatnonzero(picked == index)
        draws[rows] = random.dirichlet(prior * strength, size=len(rows))
    return draws


def _on_grid(weights: Floats) -> NDArray[np.int64]:
    kept = np.where(weights < GRID, 0, weights)
    grid: NDArray[np.int64] = np.rint(kept / kept.sum(axis=1, keepdims=True) / GRID).astype(np.int64)
    return grid
