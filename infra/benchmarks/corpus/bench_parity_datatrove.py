"""Parity with datatrove's filters: which texts each rule alone drops, ours against datatrove 0.10.1's own classes.

Real texts (a crawl file's pages in all their languages, documents of 24 domains) and adversarial ones that stand at
each rule's limit (adversarial.py). datatrove's answers take minutes, so they are kept in the work folder under a
digest of the texts and of the script that asked.
"""

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bench import HERE, Bench, Row
from bench_minhash import texts

SETS = ("real", "adversarial", "longest")
SHARDS = 2
MUST, MIN_FIRINGS = 0.98, 200
ON_PURPOSE = {"a script without spaces: its characters are words to the line edits here"}
SCRIPT = "peer_parity_datatrove.py"


def measure(bench: Bench) -> Iterator[Row]:
    """A row a rule: `ours` and `peer` are dropped texts, `ratio` the Jaccard index of the two sets, words as spaCy's.

    The corpus itself is cut into other words where a script has no spaces (pipelines/text/chunks.py), on purpose.
    `c4_lines` are texts of which both leave the same lines.
    """
    folder = texts(bench).parent
    if not (folder / "longest.parquet").exists():
        bench.run(sys.executable, "ours_parity_datatrove.py", "texts", folder)
    found = [_compared(bench, folder / f"{name}.parquet") for name in SETS]
    for reason in found[0]:
        yield _row(reason, [one[reason] for one in found])


def _row(reason: str, sets: list[dict[str, Any]]) -> Row:
    both = sum(one["both"] for one in sets)
    alone = {side: sum((Counter(one[side]) for one in sets), Counter()) for side in ("ours", "peer")}
    on_purpose = {side: {why: alone[side].pop(why) for why in ON_PURPOSE & set(alone[side])} for side in alone}
    ours, peer = (both + alone[side].total() for side in ("ours", "peer"))
    jaccard = both / max(1, both + alone["ours"].total() + alone["peer"].total())
    notes = {
        "by_set": dict(zip(SETS, (one["both"] for one in sets), strict=True)),
        "ours_alone": dict(alone["ours"]),
        "peer_alone": dict(alone["peer"]),
        "outside_the_ratio_on_purpose": on_purpose,
    }
    reached = jaccard >= MUST and peer >= MIN_FIRINGS
    asked = sum(one["asked"] for one in sets)
    must, unit = f">= {MUST}, n {MIN_FIRINGS}", "same" if reason == "c4_lines" else "dropped"
    return Row(f"parity_datatrove.{reason}", ours, peer, jaccard, unit, asked, 1, None, must, reached, notes)


def _compared(bench: Bench, path: Path) -> dict[str, dict[str, Any]]:
    answers = _answers(bench, path)
    return dict(bench.run(sys.executable, "ours_parity_datatrove.py", "compare", path, *answers)["rules"])


def _answers(bench: Bench, path: Path) -> list[Path]:
    """datatrove's verdicts on the texts, asked by two processes or found from an earlier run."""
    asked = hashlib.sha256(path.read_bytes() + (HERE / SCRIPT).read_bytes()).hexdigest()[:12]
    folder = bench.work / "parity_datatrove"
    folder.mkdir(parents=True, exist_ok=True)
    answers = [folder / f"{path.stem}-{asked}-{shard}.parquet" for shard in range(SHARDS)]
    python = bench.peer("datatrove")

    def ask(shard: int) -> None:
        if not answers[shard].exists():
            part = answers[shard].with_suffix(".part")
            bench.run(python, SCRIPT, path, part, shard, SHARDS)
            part.rename(answers[shard])

    with ThreadPoolExecutor(SHARDS) as pool:
        list(pool.map(ask, range(SHARDS)))
    return answers
