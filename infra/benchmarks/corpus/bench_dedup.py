"""A million documents with graded copies, from JSONL to duplicates, against two peers that work the same way.

Speed: ours on all documents, beside text-dedup on all, and in turn with each peer on a smaller number. Quality, from
nothing but what each keeps: of all pairs whose exact similarity reaches the threshold, the share of which one is gone
(recall); of what is gone, the share to which something that is kept is that similar (precision).
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bench import Bench, Row
from graded import shards
from scipy import sparse

DOCUMENTS, OF_PEERS = 1_000_000, 30_000
REPEATS = 2  # datatrove takes more than a minute
THRESHOLD, NGRAM = 0.7, 5
MUST = 15
_WORD = re.compile(r"\w+")


def measure(bench: Bench) -> Iterator[Row]:
    few = _split(shards(bench.data, bench.work, max(2000, int(OF_PEERS * bench.scale))), bench.work / "dedup-few")
    kept = {name: bench.work / f"kept-{name}.npy" for name in ("ours", "datatrove", "text-dedup")}
    fewer = replace(bench, repeats=min(REPEATS, bench.repeats))
    pairs = {
        name: fewer.in_turn(partial(_ours, bench, kept["ours"], few), partial(_peer, bench, name, kept[name], few))
        for name in ("datatrove", "text-dedup")
    }
    for name, found in pairs.items():
        notes = {"peak_bytes": found.ours[0]["peak_bytes"], "peak_bytes_peer": found.peer[0]["peak_bytes"]}
        yield found.row(f"dedup: equal n, against {name}", "documents/s", MUST, processes=2, **notes)
    yield from _quality(few, kept, bench)
    files = shards(bench.data, bench.work, int(DOCUMENTS * bench.scale))
    whole = _ours(bench, bench.work / "kept-whole.npy", files)
    yield _of_whole("datatrove", whole, pairs["datatrove"].peer, peer="its rate at its n, as if it stayed the same")
    theirs = _peer(bench, "text-dedup", bench.work / "kept-text-dedup-whole.npy", files)
    yield _of_whole("text-dedup", whole, [theirs], peak_bytes_peer=theirs["peak_bytes"])


def _ours(bench: Bench, out: Path, files: list[Path]) -> dict[str, Any]:
    return bench.run(sys.executable, "ours_dedup.py", bench.work / "dedup-ours", out, *files)


def _peer(bench: Bench, name: str, out: Path, files: list[Path]) -> dict[str, Any]:
    script = f"peer_dedup_{name.replace('-', '_')}.py"
    return bench.run(bench.peer(name), script, bench.work / f"dedup-{name}", out, *files)


def _split(files: list[Path], folder: Path) -> list[Path]:
    """Two files of the same documents, so that each of two workers has one."""
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines(keepends=True)]
    folder.mkdir(exist_ok=True)
    halves = [folder / "0.jsonl", folder / "1.jsonl"]
    for half, some in zip(halves, (lines[: len(lines) // 2], lines[len(lines) // 2 :]), strict=True):
        half.write_text("".join(some), encoding="utf-8")
    return halves


def _of_whole(name: str, whole: Mapping[str, Any], runs: Sequence[Mapping[str, Any]], **more: Any) -> Row:
    """All documents, ours once, beside the rate of a peer's runs."""
    rate, theirs = whole["n"] / whole["seconds"], float(np.median([one["n"] / one["seconds"] for one in runs]))
    notes = {
        "n_peer": runs[0]["n"],
        "seconds": whole["seconds"],
        "seconds_peer": float(np.median([one["seconds"] for one in runs])),
        "by_stage": whole["by_stage"],
        "peak_by_stage": whole["peak_by_stage"],
        "memory_setting": whole["memory_setting"],
        "counts": whole["counts"],
        "processes": 2,
        **more,
    }
    return Row(
        f"dedup: one million, against {name}", rate, theirs, rate / theirs, "documents/s", whole["n"], 1, None,
        f">= {MUST} x", rate / theirs >= MUST, notes,
    )  # fmt: skip


# ---------------------------------------------------------------------------------------------------------
# Quality


def _quality(files: list[Path], kept: Mapping[str, Path], bench: Bench) -> Iterator[Row]:
    rows = [json.loads(line) for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    left, right = similar_pairs([row["text"] for row in rows])
    stays = {name: np.isin([int(row["id"]) for row in rows], np.load(path)) for name, path in kept.items()}
    found = {name: (_recall(left, right, one), _precision(left, right, one)) for name, one in stays.items()}
    notes = {"threshold": THRESHOLD, "pairs": len(left), "kept": {name: int(one.sum()) for name, one in stays.items()}}
    for name in ("datatrove", "text-dedup"):
        for number, kind in enumerate(("recall", "precision")):
            ours, theirs = found["ours"][number], found[name][number]
            yield Row(
                f"dedup: {kind}, against {name}", ours, theirs, ours / theirs if theirs else None, "share", len(rows),
                1, None, ">= theirs", ours >= theirs, notes,
            )  # fmt: skip


def similar_pairs(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of texts whose sets of word 5-grams have an exact Jaccard similarity of THRESHOLD or more."""
    numbers: dict[tuple[str, ...], int] = {}
    columns, sizes = [], []
    for text in texts:
        words = _WORD.findall(text.lower())
        grams = {tuple(words[at : at + NGRAM]) for at in range(max(1, len(words) - NGRAM + 1))}
        columns += [numbers.setdefault(gram, len(numbers)) for gram in grams]
        sizes.append(len(grams))
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    table = sparse.csr_matrix((np.ones(len(columns), np.int32), columns, bounds), shape=(len(texts), len(numbers)))
    both = sparse.triu(table @ table.T, 1).tocoo()
    either = np.asarray(sizes)[both.row] + np.asarray(sizes)[both.col] - both.data
    near = both.data / either >= THRESHOLD
    return both.row[near], both.col[near]


def _recall(left: np.ndarray, right: np.ndarray, stays: np.ndarray) -> float:
    return float(1 - (stays[left] & stays[right]).mean()) if len(left) else 1.0


def _precision(left: np.ndarray, right: np.ndarray, stays: np.ndarray) -> float:
    backed = np.zeros(len(stays), bool)
    backed[left[stays[right]]] = True
    backed[right[stays[left]]] = True
    gone = ~stays
    return float(backed[gone].mean()) if gone.any() else 1.0
