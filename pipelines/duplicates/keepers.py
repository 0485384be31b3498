"""Which documents keep what they hold from later ones, found in rounds.

A unit is cut from a document where one before it keeps that unit. A document of which too little is left goes, and
keeps nothing. So what happens to a document follows from those before it, and going through all of them in order would
tell. Rounds tell the same, all documents at once: in the first, every document keeps what it holds; from each to the
next, those that go stop keeping, those that no longer go keep again, and documents whose cuts that changes are judged
anew, until no judgement changes. What then holds is the answer in order: the first document to differ from it would
have none before it that does. Each round settles one more document at least, and since ids put documents in random
order, nearly all in a few (Blelloch, Fineman & Shun 2012 show it of greedy independent sets, which this is where any
cut is one too many).

Everything lies in a scratch folder, which a runner on other machines needs on a shared disk (TMPDIR):

    documents, numbers-PART     who takes part, by number and by row (pipelines/duplicates/keeper_order.py)
    units-PART                  what a part's documents hold, by bucket of the hash
    unsettled-RANGE             of a range of buckets, the units whose keeper may change
    keeping-ROUND               bool, by number
    flips-ROUND-RANGE           later occurrences that are cut from this round on, or no longer, by part
    cut-PART-ROUND              all that are cut from a part's documents, and by row why one goes
    turned-ROUND-PART           numbers of the documents whose judgement this round changed

A round reads what the one before wrote and writes files of its own, so that a task done twice does no harm.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.duplicates.keeper_order import I64, Part, number
from pipelines.duplicates.occurrences import (
    UNIT,
    Found,
    cuts,
    difference,
    held_by,
    later,
    repeated,
    unsettled,
)
from pipelines.duplicates.units import sizes, units
from pipelines.edits.spans import edited, lengths
from pipelines.engine import run_map
from pipelines.row_numbers import ROW_BITS
from pipelines.settings import Engine, Repeats

STAYS, TOO_FEW_WORDS, TOO_FEW_SENTENCES = range(3)

NUM_BUCKETS = 256
BYTES_PER_UNIT = 100  # of a range in a worker: as read, gathered and in order, and the order; measured

Whys = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Settled:
    """What the rounds ended with, in their scratch folder."""

    scratch: Path
    rounds: int
    last: Mapping[int, int]  # part ordinal -> the last round in which its cuts changed

    def of(self, ordinal: int) -> tuple[Found, Whys]:
        """What is cut from one part's documents, `document` being the row; and by row why one goes."""
        return _cut(self.scratch, self.last, ordinal)


def settled(parts: tuple[Part, ...], settings: Repeats, engine: Engine, scratch: Path) -> Settled:
    """All cuts of this crawl's documents; `parts` are in keeper order."""
    documents = number(parts, scratch)
    num_earlier = sum(not part.own for part in parts)
    first_own = int((documents >> ROW_BITS < num_earlier).sum())
    ordinals = [str(ordinal) for ordinal in range(len(parts))]
    run_map(_Hold(parts, settings, scratch), ordinals, engine)
    ranges = _ranges(sum(int(np.load(scratch / f"units-{ordinal}.bounds.npy")[-1]) for ordinal in ordinals), engine)
    keeping, last, current = np.ones(len(documents), bool), dict[int, int](), 0
    while True:
        np.save(scratch / f"keeping-{current}.npy", keeping)
        run_map(_Meet(len(parts), first_own, current, scratch), ranges, engine)
        changed = sum(np.diff(np.load(scratch / f"flips-{current}-{one}.bounds.npy")) for one in ranges)
        judged = np.flatnonzero(changed).tolist()
        judge = _Judge(parts, settings, tuple(ranges), current, dict(last), scratch)
        run_map(judge, [str(ordinal) for ordinal in judged], engine)
        turned = [np.load(scratch / f"turned-{current}-{ordinal}.npy") for ordinal in judged]
        _tidy(scratch, current, {ordinal: last[ordinal] for ordinal in judged if ordinal in last})
        last |= dict.fromkeys(judged, current)
        current += 1
        if not sum(map(len, turned)):
            return Settled(scratch, current, last)
        every = np.concatenate(turned)
        keeping[every] = ~keeping[every]


def _ranges(num_units: int, engine: Engine) -> list[str]:
    """Buckets in as few ranges as fit the memory of the settings, one in each worker; one a worker at least."""
    workers = engine.workers or os.cpu_count() or 1
    wanted = max(workers, -(-num_units * BYTES_PER_UNIT * workers // engine.memory_bytes))
    bounds = np.linspace(0, NUM_BUCKETS, min(NUM_BUCKETS, wanted) + 1).astype(int).tolist()
    return [f"{start}-{stop}" for start, stop in pairwise(bounds)]


def _tidy(scratch: Path, current: int, outdated: Mapping[int, int]) -> None:
    """Delete what no later round reads."""
    gone = [*scratch.glob(f"flips-{current}-*"), *scratch.glob(f"turned-{current}-*")]
    gone += [scratch / f"cut-{ordinal}-{before}.npz" for ordinal, before in outdated.items()]
    for path in [*gone, *scratch.glob(f"keeping-{current - 1}.npy")]:
        path.unlink()


# ---------------------------------------------------------------------------------------------------------
# In the workers


@dataclass(frozen=True)
class _Hold:
    """Writes the units of one part's documents."""

    parts: tuple[Part, ...]
    settings: Repeats
    scratch: Path

    def __call__(self, item: str) -> None:
        numbers = np.load(self.scratch / f"numbers-{item}.npy")
        rows = np.flatnonzero(numbers >= 0)
        found = units(_texts(self.parts[int(item)], rows), self.settings)
        table = np.empty(len(found.hashes), UNIT)
        table["hash"], table["document"] = found.hashes, numbers[rows][found.texts]
        table["start"], table["end"], table["kind"] = found.starts, found.ends, found.kinds
        bucket = (found.hashes % np.uint64(NUM_BUCKETS)).astype(np.int64)
        _write(self.scratch / f"units-{item}", table, bucket, NUM_BUCKETS)


@dataclass(frozen=True)
class _Meet:
    """Writes what a round cuts of a range of buckets and the round before did not, and the other way round."""

    num_parts: int
    first_own: int
    round: int
    scratch: Path

    def __call__(self, item: str) -> None:
        keeping = np.load(self.scratch / f"keeping-{self.round}.npy", mmap_mode="r")
        path = self.scratch / f"unsettled-{item}.npy"
        if not self.round:
            start, stop = map(int, item.split("-"))
            paths = [self.scratch / f"units-{ordinal}" for ordinal in range(self.num_parts)]
            found = repeated(_read(paths, start, stop))
            np.save(path, unsettled(found, self.first_own))
            flips = later(found, keeping)
            flips = flips[flips["document"] >= self.first_own]
        else:
            before = np.load(self.scratch / f"keeping-{self.round - 1}.npy", mmap_mode="r")
            found = held_by(np.load(path, mmap_mode="r"), keeping != before)
            flips = difference(later(found, before), later(found, keeping))
        places = np.load(self.scratch / "documents.npy", mmap_mode="r")[flips["document"]]
        flips["document"] = places & ((1 << ROW_BITS) - 1)
        _write(self.scratch / f"flips-{self.round}-{item}", flips, places >> ROW_BITS, self.num_parts)


@dataclass(frozen=True)
class _Judge:
    """Applies a round's flips to one part, judges the documents they are of, and tells whose judgement changed."""

    parts: tuple[Part, ...]
    settings: Repeats
    ranges: tuple[str, ...]
    round: int
    last: Mapping[int, int]
    scratch: Path

    def __call__(self, item: str) -> None:
        ordinal = int(item)
        flips = _read([self.scratch / f"flips-{self.round}-{one}" for one in self.ranges], ordinal, ordinal + 1)
        found, why = _cut(self.scratch, self.last, ordinal)
        flipped = np.zeros(len(why), bool)
        flipped[flips["document"]] = True
        rows, here = np.flatnonzero(flipped), flipped[found["document"]]
        mine, before = difference(found[here], flips), why[rows]
        texts = _texts(self.parts[ordinal], rows)
        why[rows] = _judged(texts, cuts(texts, mine, rows), self.settings)
        found = np.concatenate([found[~here], mine])
        np.savez(self.scratch / f"cut-{item}-{self.round}.npz", found=found, why=why)
        turned = rows[(why[rows] == STAYS) != (before == STAYS)]
        np.save(self.scratch / f"turned-{self.round}-{item}.npy", np.load(self.scratch / f"numbers-{item}.npy")[turned])


def _judged(texts: pa.Array, cut: pa.Array, settings: Repeats) -> Whys:
    """Why each text goes if that is cut from it: too little is left; one that is whole stays, short as it may be."""
    words, sentences = sizes(edited(texts, cut))
    why = np.full(len(texts), STAYS, np.uint8)
    why[sentences < settings.min_doc_sentences] = TOO_FEW_SENTENCES
    why[words < max(1, settings.min_doc_words)] = TOO_FEW_WORDS
    why[lengths(cut) == 0] = STAYS
    return why


def _texts(part: Part, rows: I64) -> pa.Array:
    """The texts of some rows, after `edits`."""
    tables, chosen = part.tables("documents", "edits"), pa.array(rows)
    return edited(tables["documents"]["text"].take(chosen), tables["edits"]["edits"].take(chosen))


# ---------------------------------------------------------------------------------------------------------
# Files


def _cut(scratch: Path, last: Mapping[int, int], ordinal: int) -> tuple[Found, Whys]:
    if ordinal not in last:
        return np.empty(0, UNIT), np.full(len(np.load(scratch / f"numbers-{ordinal}.npy")), STAYS, np.uint8)
    with np.load(scratch / f"cut-{ordinal}-{last[ordinal]}.npz") as held:
        return held["found"], held["why"]


def _write(path: Path, table: Found, groups: I64, num_groups: int) -> None:
    """A table by group, and where each group begins."""
    np.save(path.with_suffix(".npy"), table[np.argsort(groups, kind="stable")])
    bounds = np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=num_groups))])
    np.save(path.with_suffix(".bounds.npy"), bounds)


def _read(paths: list[Path], start: int, stop: int) -> Found:
    """Groups `start` to `stop` of all the tables."""
    found = [np.empty(0, UNIT)]
    for path in paths:
        bounds = np.load(path.with_suffix(".bounds.npy"))
        found.append(np.load(path.with_suffix(".npy"), mmap_mode="r")[bounds[start] : bounds[stop]])
    return np.concatenate(found)
