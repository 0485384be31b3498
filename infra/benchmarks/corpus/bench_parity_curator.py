"""Parity with NeMo Curator 1.4.0's English heuristics: what each filter alone drops, and their speed.

Real texts (pages of a crawl file in all its languages, documents of 24 domains) and texts at each filter's limit
(ours_curator_texts.py), every one of them through every filter.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from bench import HERE, Bench, Row
from bench_minhash import texts

from pipelines.quality import dialects, rules

SHARDS = 2
TOP = "repeating_top"  # the filters whose choice among several commonest n-grams hangs on
SEEDS = (0, 1)  # of string hashes
SCRIPT = "peer_curator_scores.py"
MUST, MIN_FIRINGS = 0.98, 200
PAGES, STEP = 4_000, 4  # of the speed's texts; the peer takes every so many

Columns = dict[str, npt.NDArray[Any]]


def measure(bench: Bench) -> Iterator[Row]:
    """A row a filter, whose `ours` and `peer` are dropped texts and `ratio` their Jaccard index; then two of speed."""
    folder = texts(bench).parent
    made = bench.work / "curator_texts.parquet"
    bench.run(sys.executable, "ours_curator_texts.py", made)
    sets = {"real": pq.read_table(folder / "mixed.parquet"), "made": pq.read_table(made)}
    both = pa.concat_tables([table.select(["text"]) for table in sets.values()])["text"].combine_chunks()
    path = bench.work / "curator_both.parquet"
    pq.write_table(pa.table({"text": both}), path)
    ours = dialects.signals(both, ["curator"])
    peer, again = _answers(bench, path, SEEDS[0]), _answers(bench, path, SEEDS[1], TOP)
    num_real = sets["real"].num_rows
    for name, judging in _rules_of_filters().items():
        yield _row(name, judging, ours, peer, again, both, num_real)
    yield from _speed(bench, folder / "mixed.parquet")


def _rules_of_filters() -> dict[str, list[rules.Rule]]:
    """Curator's filters, which have one name for two limits."""
    found: dict[str, list[rules.Rule]] = {}
    for rule in rules.preset("curator").rules:
        found.setdefault(rule.reason.removesuffix("_min").removesuffix("_max"), []).append(rule)
    return found


def _row(
    name: str, judging: list[rules.Rule], ours: pa.Table, peer: Columns, again: Columns, texts: pa.Array, num_real: int
) -> Row:
    """Texts on which the filter raises are left out, and of commonest n-grams those where several are commonest."""
    import polars as pl

    table = pl.from_arrow(ours)
    assert isinstance(table, pl.DataFrame)
    dropped = table.select(pl.any_horizontal([rule.broken() for rule in judging])).to_series().to_numpy()
    kept = peer[f"{name}_kept"]
    asked = ~np.isnan(kept)
    theirs = kept == 0
    score = np.asarray(ours[judging[0].signal]).astype(float)
    notes: dict[str, Any] = {"raised": int((~asked).sum())}
    differs = asked & (np.abs(score - peer[name]) > 1e-9)
    if name.startswith(TOP):
        other = again[f"{name}_kept"] == 0
        tied = _tied(texts, int(name[len(TOP) + 1]), np.flatnonzero(asked & (dropped | theirs | other | differs)))
        notes |= {
            "left_out": "texts with several commonest n-grams, of which Curator takes any",
            "left_out_dropped": {"ours": int((dropped & tied).sum()), "peer": int((theirs & tied).sum())},
            "jaccard_with_them": _jaccard(dropped[asked], theirs[asked]),
            "peer_with_itself_under_another_hash_seed": _jaccard(other[asked], theirs[asked]),
        }
        asked &= ~tied
        differs &= ~tied
    if name == "common_english_words":
        differs &= np.minimum(score, 2) != peer[name]  # it stops to count there
    alone = {"ours": dropped & ~theirs & asked, "peer": theirs & ~dropped & asked}
    jaccard = _jaccard(dropped[asked], theirs[asked])
    fired = int((theirs & asked).sum())
    real, made = (int(part.sum()) for part in np.split(theirs & asked, [num_real]))
    notes |= {
        "dropped_by_set": {"real": real, "made": made},
        "alone": {side: int(flags.sum()) for side, flags in alone.items()},
        "scores_that_differ": int(differs.sum()),
        "largest_difference": float(np.abs(score - peer[name])[differs].max(initial=0.0)),
    }
    must = f">= {MUST}, {MIN_FIRINGS} dropped"
    dropped_by_us = int((dropped & asked).sum())
    reached = jaccard >= MUST and fired >= MIN_FIRINGS
    return Row(
        f"parity_curator.{name}",
        dropped_by_us,
        fired,
        jaccard,
        "dropped",
        int(asked.sum()),
        1,
        None,
        must,
        reached,
        notes,
    )


def _tied(texts: pa.Array, n: int, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether several n-grams are the commonest, for some rows; False for the others."""
    found = np.zeros(len(texts), bool)
    for row in rows.tolist():
        words = texts[row].as_py().split()
        counts = sorted(Counter(zip(*(words[step:] for step in range(n)), strict=False)).values())
        found[row] = len(counts) > 1 and counts[-1] == counts[-2]
    return found


def _jaccard(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    return float((one & other).sum() / max(1, (one | other).sum()))


def _answers(bench: Bench, path: Path, seed: int, only: str = "") -> Columns:
    """Curator's scores and verdicts by column, asked by two processes or found from an earlier run."""
    asked = hashlib.sha256(path.read_bytes() + (HERE / SCRIPT).read_bytes()).hexdigest()[:12]
    python = bench.peer("curator")

    def ask(shard: int) -> pa.Table:
        target = bench.work / f"curator-{asked}-{seed}-{shard}.parquet"
        if not target.exists():
            part = target.with_suffix(".part")
            bench.run(python, SCRIPT, path, part, shard, SHARDS, seed, *filter(None, [only]))
            part.rename(target)
        return pq.read_table(target)

    with ThreadPoolExecutor(SHARDS) as pool:
        found = pa.concat_tables(pool.map(ask, range(SHARDS))).sort_by("row")
    return {name: found[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in found.column_names}


def _speed(bench: Bench, path: Path) -> Iterator[Row]:
    count = int(PAGES * bench.scale)
    python, script = bench.peer("curator"), "peer_curator_filters.py"
    told = {
        "ours": "every signal of every text, and verdicts; each process learns its vocabulary anew",
        "peer": "nemo-curator 1.4.0, ScoreFilter stages on one batch, without Ray",
    }
    for name, arguments, how in (
        ("filters.curator", (), "in the peer a dropped text goes no further"),
        ("filters.curator_every_rule", ("every",), "in the peer, too, every filter scores every text"),
    ):
        pairs = bench.in_turn(
            lambda: bench.run(sys.executable, "ours_curator_filters.py", path, count),
            lambda arguments=arguments: bench.run(python, script, path, count, STEP, *arguments),
        )
        yield pairs.row(name, "docs/s", 1, **told, how=how, peer_n=pairs.peer[0]["n"])
