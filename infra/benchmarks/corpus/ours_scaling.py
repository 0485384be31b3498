"""Crawl files to deduplicated text, stage by stage: `ours_scaling.py WORKERS FOLDER WARM WARM FILE...`.

Prints this process's CPU seconds (which are all with one worker), seconds by the clock, and documents. The workers are
warm: two other files go through first, so that what is timed is the work and not the imports.
"""

import shutil
import sys
from pathlib import Path

from bench import timed

from mixer.job import STEPS
from pipelines.configuration import resolved
from pipelines.corpus import Corpus, choose, keep
from pipelines.crawls import register
from pipelines.optional import wanted
from pipelines.store import Workspace

UNTIL = "duplicates"
STAGES = [step for step in STEPS if step.scope != "round"][: [step.name for step in STEPS].index(UNTIL) + 1]


def opened(folder: Path, files: list[str], workers: int) -> Corpus:
    shutil.rmtree(folder, ignore_errors=True)
    place = Workspace(str(folder))
    changes = [f"engine.workers={workers}", "quality.languages=[]", "quality.min_language_score=0.0"]
    chosen = choose(place, None, preset="laptop", changes=changes)
    register(place, "crawl", files)
    keep(place, chosen)
    return Corpus(place, resolved(chosen))


def run(corpus: Corpus) -> int:
    """Every stage up to the duplicates but the vectors; how many documents went in."""
    rows = 0
    for step in STAGES:
        if step.name != "embeddings" and wanted(corpus.settings, step.name):
            report = step.run(corpus, *(["crawl"] if step.scope == "crawl" else []))
            rows = report.rows if step.name == "documents" else rows
    return rows


def main() -> None:
    workers, folder, warm, files = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:5], sys.argv[5:]
    run(opened(folder / "warm", warm, workers))
    corpus = opened(folder / "timed", files, workers)
    timed(lambda: run(corpus))
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
