"""Parity with dolma 1.2.1's taggers gopher_v1 and c4_v2: every score, and what each rule of the preset alone drops.

Real texts (pages of a crawl file in all its languages, documents of 24 domains), those at the limits of Curator's
filters (ours_curator_texts.py), which lie near dolma's, and some for what only dolma looks for.
"""

import hashlib
import json
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench import HERE, Bench, Row
from bench_minhash import texts
from ours_curator_texts import ending, mixed, starting

from pipelines.quality import dialects, rules

SHARDS, STEP = 2, 3  # of Curator's texts, every so many
PER_MAKER = 450
MUST = 0.98
SCRIPT = "peer_dolma_scores.py"


def measure(bench: Bench) -> Iterator[Row]:
    """A row a rule: `ours` and `peer` are dropped texts, `ratio` the Jaccard index of both sets."""
    made = bench.work / "curator_texts.parquet"
    bench.run(sys.executable, "ours_curator_texts.py", made)
    paths = (texts(bench).parent / "mixed.parquet", made)
    real, others = (pq.read_table(path)["text"].to_pylist() for path in paths)
    asked = [*real, *others[::STEP], *_made()]
    ours = dialects.signals(pa.array(asked, pa.large_string()), ["dolma"])
    peer = _answers(bench, asked)
    for rule in rules.preset("dolma").rules:
        yield _row(rule, np.asarray(ours[rule.signal]).astype(float), [row.get(_written(rule)) for row in peer])


def _made() -> Iterator[str]:
    """Lines with bullets and ellipses about the limits, filler text and scripts, and decoys."""
    makers = (
        mixed(starting("*", "-"), starting("\u2022", "+"), 0.9, "\n", 5, 60),
        mixed(ending("\u2026"), ending("...", "."), 0.3, "\n", 5, 60),
        mixed(
            ending(" Lorem Ipsum", " JAVASCRIPT."),
            ending(" lorem  ipsum", " java script", " lorem\nipsum"),
            0.1,
            "\n",
            5,
            9,
        ),
        mixed(starting("#", "a#b", "\u2026"), starting("...", "\uff03"), 0.3, " ", 5, 60),
    )
    for make in makers:
        for number in range(PER_MAKER):
            yield make(random.Random(f"dolma {number}"))


def _written(rule: rules.Rule) -> str:
    """The tagger's name of what a rule reads: reasons are these names, with _min and _max where there are two."""
    return rule.reason.removesuffix("_min").removesuffix("_max")


def _row(rule: rules.Rule, ours: np.ndarray, written: list[float | None]) -> Row:
    peer = np.array([np.nan if score is None else score for score in written])
    drops = (lambda scores: scores < rule.limit) if rule.least else (lambda scores: scores > rule.limit)
    here, there = drops(ours), drops(peer)  # where nothing is written, nothing is dropped
    differs = np.abs(ours - np.nan_to_num(peer))
    jaccard = float((here & there).sum() / max(1, (here | there).sum()))
    notes = {
        "alone": {"ours": int((here & ~there).sum()), "peer": int((there & ~here).sum())},
        "scores_that_differ": int((differs > 1e-9).sum()),
        "largest_difference": float(differs.max()),
    }
    return Row(
        f"parity_dolma.{rule.reason}", int(here.sum()), int(there.sum()), jaccard, "dropped", len(ours), 1, None,
        f">= {MUST}", jaccard >= MUST, notes,
    )  # fmt: skip


def _answers(bench: Bench, asked: list[str]) -> list[dict[str, float]]:
    """What dolma writes about each text, asked by two processes or found from an earlier run."""
    data = json.dumps(asked)
    digest = hashlib.sha256(data.encode() + (HERE / SCRIPT).read_bytes()).hexdigest()[:12]
    source, python = bench.work / f"dolma-{digest}.json", bench.peer("dolma")
    source.write_text(data)

    def ask(shard: int) -> list[dict[str, float]]:
        target = bench.work / f"dolma-{digest}-{shard}.json"
        if not target.exists():
            part = Path(f"{target}.part")
            bench.run(python, SCRIPT, source, part, shard, SHARDS)
            part.rename(target)
        return list(json.loads(target.read_text()))

    with ThreadPoolExecutor(SHARDS) as pool:
        return sorted((row for rows in pool.map(ask, range(SHARDS)) for row in rows), key=lambda row: row["row"])
