"""Ours: JSONL files -> documents, signatures, verdicts that keep all, duplicates. `ours_dedup.py WORK OUT FILE...`

Prints seconds by stage, the peak memory of all processes together, and writes the kept `id` numbers to OUT.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from watched import Watched

from pipelines import lineage
from pipelines.corpus import Corpus, choose, keep, opened
from pipelines.crawls import register
from pipelines.duplicates.groups import run_duplicates
from pipelines.ingest import run_documents
from pipelines.records import ID
from pipelines.stages import run_signatures
from pipelines.store import Workspace
from pipelines.targets import run_targets

MEMORY = 1 << 30  # engine.memory_bytes
# Candidates are verified, so what bands let through costs a comparison and no document: more of them, of fewer values
# (100 in all where the peers take 112), find nearly all pairs at the threshold instead of half of them.
BANDS, ROWS = 20, 5
CRAWL = "graded"


def main(work: Path, out: Path, files: list[str]) -> None:
    warm_up(work / "warm-up", files[0])
    shutil.rmtree(work, ignore_errors=True)
    corpus = made(work, files)
    seconds, peaks = {}, {}
    for name, run in (
        ("documents", run_documents),
        ("verdicts", keep_all),
        ("signatures", run_signatures),
        ("duplicates", run_duplicates),
    ):
        started = time.perf_counter()
        with Watched() as watched:
            report = run(corpus, CRAWL)
        seconds[name], peaks[name] = time.perf_counter() - started, watched.peak
    np.save(out, kept(corpus))
    counts = {name: value for name, value in report.counts.items() if name != "largest_groups"}
    told = {"seconds": sum(seconds.values()), "n": report.rows, "peak_bytes": max(peaks.values()), "counts": counts}
    told |= {"by_stage": seconds, "peak_by_stage": peaks, "memory_setting": MEMORY}
    print(json.dumps(told))


def made(work: Path, files: list[str]) -> Corpus:
    workspace = Workspace(str(work / "ws"))
    # the preset for a laptop cuts small parts, for its progress to be seen
    parts = ["ingest.part_rows=50_000", f"ingest.part_bytes={64 << 20}"]
    bands = [f"duplicates.bands={BANDS}", f"duplicates.rows={ROWS}"]
    changes = ["engine.workers=2", f"engine.memory_bytes={MEMORY}", *parts, *bands]
    keep(workspace, choose(workspace, None, preset=None, changes=changes))
    register(workspace, CRAWL, files)
    corpus = opened(workspace)
    run_targets(corpus)
    return corpus


def warm_up(work: Path, file: str) -> None:
    """Compiled code is loaded, processes are there and have imported what they need."""
    work.mkdir(parents=True, exist_ok=True)
    few = work / "few.jsonl"
    with open(file, encoding="utf-8") as lines:
        few.write_text("".join(next(lines) for _ in range(50)))
    second = work / "more.jsonl"
    second.write_text(few.read_text())
    corpus = made(work, [str(few), str(second)])
    for run in (run_documents, keep_all, run_signatures, run_duplicates):
        run(corpus, CRAWL)


def keep_all(corpus: Corpus, crawl: str) -> None:
    stage, documents = lineage.verdicts(corpus, crawl), lineage.documents(corpus, crawl)
    parts = [part["part"] for part in documents.finished()["parts"]]
    for part in parts:
        ids = documents.read(part, ["id"])["id"]
        reasons = pa.nulls(len(ids), pa.string())
        table = pa.table(
            [ids, reasons], schema=pa.schema([pa.field("id", ID, nullable=False), ("reason", pa.string())])
        )
        stage.commit(part, table, counts={"read": len(ids), "kept": len(ids), "dropped": {}})
    stage.seal(parts, counts={})


def kept(corpus: Corpus) -> np.ndarray:
    """The numbers of the kept documents, from the files by row order."""
    documents, duplicates = lineage.documents(corpus, CRAWL), lineage.duplicates(corpus, CRAWL)
    found = []
    for part in duplicates.finished()["parts"]:
        alone = duplicates.read(part["part"], ["duplicate_of"])["duplicate_of"].is_null()
        found += documents.read(part["part"], ["url"])["url"].filter(alone).to_pylist()
    return np.array(sorted(map(int, found)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
