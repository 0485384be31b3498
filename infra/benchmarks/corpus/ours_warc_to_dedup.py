"""A crawl file to filtered, deduplicated text through a workspace, one worker: `ours_warc_to_dedup.py FILE WARM FOLDER
EXTRACTOR`. All that the workspace promises is in the time: sidecars, digests, fsync, rejects, manifests."""

import shutil
import sys
import time
from pathlib import Path

import pyarrow.compute as pc
from bench import timed

from mixer.job import STEPS
from pipelines import lineage
from pipelines.configuration import resolved
from pipelines.corpus import Corpus, choose, keep
from pipelines.crawls import register
from pipelines.store import Workspace

NAMES = ("documents", "edits", "signals", "verdicts", "signatures", "targets", "duplicates")


def opened(folder: Path, file: str, extractor: str) -> Corpus:
    shutil.rmtree(folder, ignore_errors=True)
    place = Workspace(str(folder))
    changes = ["engine.workers=1", "quality.languages=[]", f"ingest.extractor={extractor}"]
    changes += ["quality.min_language_score=0.0"]
    chosen = choose(place, None, preset="laptop", changes=changes)
    register(place, "crawl", [file])
    keep(place, chosen)
    return Corpus(place, resolved(chosen))


def run(corpus: Corpus) -> dict[str, int]:
    told = {}
    for step in STEPS:
        if step.name in NAMES:
            report = step.run(corpus, *(["crawl"] if step.scope == "crawl" else []))
            told[step.name] = report.rows
    return told


def kept(corpus: Corpus) -> int:
    verdicts, duplicates = lineage.verdicts(corpus, "crawl"), lineage.duplicates(corpus, "crawl")
    total = 0
    for part in lineage.documents(corpus, "crawl").finished()["parts"]:
        reasons = verdicts.read(part["part"], ("reason",))["reason"]
        others = duplicates.read(part["part"], ("duplicate_of",))["duplicate_of"]
        total += pc.sum(pc.and_(pc.is_null(reasons), pc.is_null(others))).as_py() or 0
    return total


def main() -> None:
    file, warm, folder, extractor = sys.argv[1], sys.argv[2], Path(sys.argv[3]), sys.argv[4]
    run(opened(folder / "warm", warm, extractor))
    corpus = opened(folder / "timed", file, extractor)
    timed(lambda: run(corpus)["documents"], time.perf_counter)
    print_kept(corpus)
    shutil.rmtree(folder, ignore_errors=True)


def print_kept(corpus: Corpus) -> None:
    print(f"kept {kept(corpus)}", file=sys.stderr)


if __name__ == "__main__":
    main()
