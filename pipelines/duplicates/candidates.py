"""Rows that share a hash, in a stated memory: a sort of all hashes by value, in ranges that fit.

Two maps. The first writes each part's hashes of some columns, sorted, to a scratch folder. The second takes a
column and a range of values, gathers that range from all parts, sorts it, and writes the rows of every value that
comes more than once. What is in memory is one range a worker, so any number of rows fits in `engine.memory_bytes`.
A shuffle through Beam's local group-by holds everything, in several copies (120 bytes an entry where this takes 64).

The buckets are whole, however large: what bounds the work is that pairs are made in pipelines/duplicates/verify.py.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.duplicates.sources import Source
from pipelines.engine import run_map
from pipelines.records import ID_WORDS
from pipelines.row_numbers import ROW_BITS, U64, numbered, places
from pipelines.settings import Engine

BYTES_PER_ENTRY = 64  # of a range in a worker: value and row as read, gathered and in order, and the order; measured
MAX_RANGE_BITS = 16
TASKS_PER_WORKER = 4
MAX_LOADED = 256  # files that one task holds open

I64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Buckets:
    """Rows that share a value: bucket b is `rows[offsets[b] : offsets[b + 1]]`, in ascending order.

    Buckets are ordered by column, then by value: the same whatever the ranges were.
    """

    rows: U64
    offsets: I64
    columns: I64  # where the buckets of each column begin, and the end

    def of(self, column: int) -> "Buckets":
        """The buckets of one column."""
        first, end = self.columns[column : column + 2]
        offsets = self.offsets[first : end + 1]
        return Buckets(self.rows[offsets[0] : offsets[-1]], offsets - offsets[0], np.array([0, end - first]))

    def without(self, rows: U64) -> "Buckets":
        """Buckets of one column less some rows, those left out of which fewer than two rows remain."""
        stays = ~np.isin(self.rows, rows)
        sizes = np.bincount(self.numbers[stays], minlength=len(self.offsets) - 1)
        stays &= (sizes > 1)[self.numbers]
        offsets = np.concatenate([[0], np.cumsum(sizes[sizes > 1])]).astype(np.int64)
        return Buckets(self.rows[stays], offsets, np.array([0, len(offsets) - 1]))

    @property
    def firsts(self) -> U64:
        """The smallest row of each bucket."""
        return self.rows[self.offsets[:-1]]

    @property
    def later(self) -> npt.NDArray[np.bool_]:
        """bool, by member: not its bucket's first."""
        later = np.ones(len(self.rows), bool)
        later[self.offsets[:-1]] = False
        return later

    @property
    def numbers(self) -> I64:
        """The bucket of each member."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


def buckets(
    sources: Sequence[Source], columns: Sequence[str], first_own: int, scratch: Path, engine: Engine
) -> Buckets:
    """The buckets of several columns of the signatures that hold a row of number `first_own` or more.

    128-bit columns (id, content_hash) meet by all their bits. Rows that `exclude` named do not take part.
    """
    folder = scratch / columns[0]
    folder.mkdir()
    bits = range_bits(sum(source.num_rows for source in sources), engine)
    run_map(_Spill(tuple(sources), tuple(columns), bits, folder), [str(one.ordinal) for one in sources], engine)
    num_ranges = len(columns) << bits
    # a range of a column at a time; where columns are small, several, since a task costs a millisecond of its own
    step = 1 if bits else -(-num_ranges // (TASKS_PER_WORKER * num_workers(engine)))
    items = [f"{first} {min(first + step, num_ranges)}" for first in range(0, num_ranges, step)]
    run_map(_Meet(len(sources), first_own, bits, folder), items, engine)
    return _gathered([folder / item for item in items], len(columns))


def _gathered(paths: Sequence[Path], num_columns: int) -> Buckets:
    """What the ranges wrote, one after the other; mapped, since both it and a copy may be too large."""
    rows, sizes, counts = (
        [np.load(path.with_suffix(f".{name}.npy"), mmap_mode="r") for path in paths]
        for name in ("rows", "sizes", "counts")
    )
    by_column = np.concatenate(counts).reshape(num_columns, -1).sum(axis=1)
    offsets = np.zeros(sum(map(len, sizes)) + 1, np.int64)
    np.cumsum(np.concatenate([np.empty(0, np.int64), *sizes]), out=offsets[1:])
    every = np.empty(offsets[-1], np.uint64)
    done = 0
    for some in rows:
        every[done : done + len(some)] = some
        done += len(some)
    return Buckets(every, offsets, np.concatenate([[0], np.cumsum(by_column)]))


def range_bits(num_rows: int, engine: Engine) -> int:
    """Ranges are 2^bits, so that one in each worker fits into the memory of the settings."""
    allowed = engine.memory_bytes // num_workers(engine)
    wanted = -(-num_rows * BYTES_PER_ENTRY // max(1, allowed))
    return min(MAX_RANGE_BITS, (max(1, wanted) - 1).bit_length())


def num_workers(engine: Engine) -> int:
    return engine.workers or os.cpu_count() or 1


def exclude(rows: U64, scratch: Path) -> None:
    """Leave rows out of the buckets that are looked for from now on; once for a scratch folder."""
    by_part = np.sort(rows)
    bounds = np.flatnonzero(np.diff(by_part >> np.uint64(ROW_BITS), prepend=np.uint64(1 << 63)))
    for part in np.split(by_part, bounds)[1:]:
        np.save(_excluded(scratch, int(part[0]) >> ROW_BITS), places(part))


def _excluded(scratch: Path, ordinal: int) -> Path:
    return scratch / f"excluded-{ordinal}.npy"


@dataclass(frozen=True)
class _Spill:
    """Writes one part's eligible values: [columns, n] sorted by value, the rows they are of, and where ranges begin."""

    sources: tuple[Source, ...]
    columns: tuple[str, ...]
    bits: int
    folder: Path

    def __call__(self, item: str) -> None:
        source = self.sources[int(item)]
        table = source.signatures.read(source.name, list(dict.fromkeys(["id", "num_shingles", *self.columns])))
        eligible = source.kept(table)
        if self.columns[0].startswith("band_"):
            eligible &= np.asarray(table["num_shingles"]) > 0
        excluded = _excluded(self.folder.parent, source.ordinal)
        if excluded.exists():
            eligible[np.load(excluded)] = False
        chosen = np.flatnonzero(eligible)
        wide = self.columns[0] in ("id", "content_hash")
        values = np.empty((len(self.columns), len(chosen)), np.uint64)
        lows, rows = np.empty((len(self.columns), wide * len(chosen)), np.uint64), np.empty(values.shape, np.uint32)
        bounds = np.empty((len(self.columns), (1 << self.bits) + 1), np.int64)
        starts = np.arange(1 << self.bits, dtype=np.uint64) << np.uint64(64 - self.bits) if self.bits else [0]
        for number, column in enumerate(self.columns):
            high, low = _words(table[column])
            order = chosen[np.argsort(high[chosen])]
            values[number], rows[number] = high[order], order
            if wide:
                lows[number] = low[order]
            bounds[number] = [*np.searchsorted(values[number], np.asarray(starts, np.uint64)), len(chosen)]
        for name, array in (("values", values), ("lows", lows), ("rows", rows), ("bounds", bounds)):
            np.save(self.folder / f"{name}-{item}.npy", array)


def _words(column: pa.ChunkedArray) -> tuple[U64, U64]:
    """High and low 64 bits; an integer column is all high."""
    array = column.combine_chunks()
    if pa.types.is_fixed_size_binary(array.type):
        words = np.frombuffer(array.buffers()[1], ID_WORDS)[array.offset :][: len(array)]
        return words["high"].astype(np.uint64), words["low"].astype(np.uint64)
    return np.asarray(array), np.empty(0, np.uint64)


@dataclass(frozen=True)
class _Meet:
    """Writes the buckets of some ranges, column by column: rows, the size of each bucket, and how many a range has."""

    num_parts: int
    first_own: int
    bits: int
    folder: Path

    def __call__(self, item: str) -> None:
        load = lru_cache(MAX_LOADED)(self._load)
        found = [self._met(*divmod(number, 1 << self.bits), load) for number in range(*map(int, item.split()))]
        np.save(self.folder / f"{item}.rows.npy", np.concatenate([rows for rows, _ in found]))
        np.save(self.folder / f"{item}.sizes.npy", np.concatenate([sizes for _, sizes in found]))
        np.save(self.folder / f"{item}.counts.npy", np.array([len(sizes) for _, sizes in found], np.int64))

    def _met(self, column: int, number: int, load: Callable[[str, int], npt.NDArray[Any]]) -> tuple[U64, I64]:
        values, lows, rows = [], [], []
        for part in range(self.num_parts):
            begin, end = load("bounds", part)[column, number : number + 2]
            if begin < end:
                values.append(np.asarray(load("values", part)[column, begin:end]))
                lows.append(np.asarray(load("lows", part)[column, begin:end]))
                rows.append(numbered(load("rows", part)[column, begin:end], part))
        return met(_joined(values), _joined(lows), _joined(rows), self.first_own)

    def _load(self, name: str, part: int) -> npt.NDArray[Any]:
        return np.load(self.folder / f"{name}-{part}.npy", mmap_mode="r")  # type: ignore[no-any-return]


def _joined(arrays: list[U64]) -> U64:
    return np.concatenate([np.empty(0, np.uint64), *arrays])


def met(values: U64, lows: U64, rows: U64, first_own: int) -> tuple[U64, I64]:
    """(rows, sizes) of the values that come at least twice, once in a row of `first_own` or more.

    `lows` are further bits of the values, or of another length where there are none. By value, then by row.
    """
    order = np.argsort(values)
    several = _repeated(values[order])
    few = order[several]  # most values come once; only the others are worth a full sort
    lows = lows if len(lows) == len(values) else np.zeros(len(values), np.uint64)
    few = few[np.lexsort((rows[few], lows[few], values[few]))]
    new = np.concatenate([[True], (np.diff(values[few]) != 0) | (np.diff(lows[few]) != 0)])[: len(few)]
    starts = np.flatnonzero(new)
    sizes = np.diff(starts, append=len(few))
    # rows ascend within a bucket, so its last one tells whether it has one of this crawl
    wanted = (sizes > 1) & (rows[few[starts + sizes - 1]] >= first_own)
    return rows[few[np.repeat(wanted, sizes)]], sizes[wanted]


def _repeated(ordered: U64) -> npt.NDArray[np.bool_]:
    """bool [n]: the same as a neighbour."""
    same = ordered[1:] == ordered[:-1]
    found = np.zeros(len(ordered), bool)
    found[1:] |= same
    found[:-1] |= same
    return found
