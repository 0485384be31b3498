"""Two real crawl files through the whole job, and what an independent look at each step says of it.

    python infra/benchmarks/real_crawl.py --data ../shared/data --workspace DIR

part-00 and part-01 as two crawls with the preset `laptop` (and CHANGES, which make its proxies CPU-sized).
Writes real_crawl.json beside this file, section by section: records, stages, decoding, verdicts, domains,
mixture, plain_training. A section that is there for the same code, data and settings is not done again unless
--again; the job in the workspace resumes by itself, so for new times give a fresh folder.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import crawl_domains
import crawl_mixture
import crawl_records
import crawl_stages

from mixer.console import funnel
from pipelines import configuration, lineage
from pipelines import corpus as corpora
from pipelines.crawls import register
from pipelines.digest import digest_of, file_digest
from pipelines.records import document_id
from pipelines.store import Workspace

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CRAWLS = ("part-00", "part-01")
# The preset is for gigabytes: here 2 million tokens are left, of which 8,192 entries would each be seen too
# rarely for a proxy to learn more than how often each occurs.
CHANGES = (
    "tokens.vocabulary=2048",
    "proxy.width=64",
    "search.rounds=[24, 12, 12]",
    "search.tokens=150_000",
    "search.final_tokens=400_000",
    "search.final_seeds=5",
    "search.max_epochs=4.0",
    'search.final_mixtures=["natural", "uniform", "nearest"]',
    "dataset.tokens=400_000",
)
SOURCES = ("pipelines/**/*", "mixer/**/*", "infra/benchmarks/*crawl*", "infra/benchmarks/plain_training*")


def prepared(data: Path, workspace: Path, changes: list[str]) -> corpora.Corpus:
    """The workspace with its settings and both crawls registered."""
    place = Workspace(str(workspace))
    workspace.mkdir(parents=True, exist_ok=True)
    target = workspace / "science.jsonl"
    crawl_mixture.write_target(data, target)
    chosen = corpora.choose(place, None, preset="laptop", changes=[*CHANGES, *changes], targets=[f"science={target}"])
    corpora.keep(place, chosen)
    for crawl in CRAWLS:
        register(place, crawl, [str(data / "warc" / f"{crawl}.warc.gz")])
    return corpora.Corpus(place, configuration.resolved(chosen))


# ---------------------------------------------------------------------------------------------------------
# Sections


def records(corpus: corpora.Corpus, data: Path) -> dict[str, Any]:
    """Counts by reason, recounted from the records; bytes against the size of the file."""
    told = {}
    for crawl in CRAWLS:
        path = data / "warc" / f"{crawl}.warc.gz"
        found = list(crawl_records.records(path))
        counts = lineage.documents(corpus, crawl).finished()["counts"]
        told[crawl] = {
            **crawl_records.compared(crawl_records.recount(found), counts),
            "bytes": {
                "file": path.stat().st_size,
                "read": counts["bytes_read"],
                "lost": counts["bytes_lost"],
            },
            "no_text": crawl_records.without_text(found, _dropped(corpus, crawl, found, "no_text")),
        }
    return told


def _dropped(corpus: corpora.Corpus, crawl: str, found: list[crawl_records.Record], reason: str) -> set[str]:
    stage = lineage.documents(corpus, crawl)
    dropped = set()
    for part in stage.finished()["parts"]:
        rejects = stage.read(part["part"], ("id", "reason"), beside="rejects").to_pylist()
        dropped |= {row["id"] for row in rejects if row["reason"] == reason}
    return {one.record_id for one in found if document_id(crawl, one.record_id) in dropped}


def stages(corpus: corpora.Corpus, data: Path) -> dict[str, Any]:
    """Time and peak memory of each stage of the job, where it was done here."""
    lines = crawl_stages.measured(corpus)
    return {"seconds_in_all": round(sum(line["seconds"] for line in lines), 1), "stages": lines}


def decoding(corpus: corpora.Corpus, data: Path) -> dict[str, Any]:
    """Pages that decode to exactly the text that is known, by kind; and that the stage did the same."""
    rows, differing = [], 0
    for crawl in CRAWLS:
        truth = {row["record_id"]: row for row in crawl_domains.labels(data, crawl).values()}
        mine = crawl_records.decoding(crawl_records.records(data / "warc" / f"{crawl}.warc.gz"), truth)
        stage = lineage.documents(corpus, crawl)
        documents = {
            row["id"]: (row["charset"], row["num_replaced"])
            for part in stage.finished()["parts"]
            for row in stage.read(part["part"], ("id", "charset", "num_replaced")).to_pylist()
        }
        for row in mine:
            here = (row["charset"], row["num_replaced"])
            differing += documents.get(document_id(crawl, row["record_id"]), here) != here
        rows += mine
    told = crawl_records.shares(rows)
    return {
        "by_kind": told,
        "declared_at_least_99_percent": all((one["declared_share"] or 1.0) >= 0.99 for one in told.values()),
        "not_exact": crawl_records.misread(rows),
        "pages_that_the_documents_stage_decoded_otherwise": differing,
    }


def verdicts(corpus: corpora.Corpus, data: Path) -> dict[str, Any]:
    """What the preset keeps of ordinary English pages, by domain, and what looser thresholds would."""
    counts = {
        f"{name} of {crawl}": funnel(getattr(lineage, name)(corpus, crawl).finished()["counts"])
        for name in ("documents", "verdicts", "duplicates")
        for crawl in CRAWLS
    }
    return {"funnel": counts, "thresholds": crawl_domains.kept_by(corpus, _truth(data))}


def domains(corpus: corpora.Corpus, data: Path) -> dict[str, Any]:
    """Adjusted mutual information of clusters and the packages' domains."""
    truth = _truth(data)
    return {
        "of_the_job": crawl_domains.of_the_job(corpus, truth),
        **{
            encoder: crawl_domains.of_encoder(corpus, truth, encoder) for encoder in ("static", "sentence-transformers")
        },
    }


def mixture(corpus: corpora.Corpus, data: Path) -> dict[str, Any]:
    """The mixture found and the final losses beside the others, paired seeds."""
    return crawl_mixture.found(corpus)


def plain_training(corpus: corpora.Corpus, data: Path) -> dict[str, Any]:
    """The same comparison by a plain transformers loop on exported shards."""
    return crawl_mixture.by_plain_training(corpus, HERE / "plain_training.py")


def _truth(data: Path) -> dict[bytes, dict[str, Any]]:
    return {key: row for crawl in CRAWLS for key, row in crawl_domains.labels(data, crawl).items()}


# Those of the first line need the job up to its pools, the others all of it.
BEFORE_SEARCH: tuple[Callable[..., dict[str, Any]], ...] = (records, decoding, verdicts, domains)
AFTER_SEARCH: tuple[Callable[..., dict[str, Any]], ...] = (mixture, plain_training, stages)

# ---------------------------------------------------------------------------------------------------------


def code_digest() -> str:
    """Of every source file that a number here depends on."""
    found = {path for pattern in SOURCES for kind in ("py", "toml") for path in ROOT.glob(f"{pattern}.{kind}")}
    return digest_of({str(path.relative_to(ROOT)): file_digest(path) for path in sorted(found)})[:16]


def about(data: Path, changes: list[str]) -> dict[str, Any]:
    """Machine, date, commit."""
    git = ["git", "-C", str(ROOT)]
    commit = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False).stdout
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "commit": commit + (" and uncommitted changes" if changed.strip() else ""),
        "preset": "laptop",
        "changes": [*CHANGES, *changes],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=HERE / "real_crawl.json")
    parser.add_argument("--again", action="store_true", help="sections that are there are done anew")
    parser.add_argument(
        "--only", nargs="+", default=[], metavar="SECTION", help="these sections, and no search for others"
    )
    parser.add_argument("--set", action="append", default=[], dest="changes", help="section.key=value on top")
    arguments = parser.parse_args()
    corpus = prepared(arguments.data, arguments.workspace, arguments.changes)
    key = digest_of([code_digest(), file_digest(arguments.data / "warc" / "labels.parquet"), arguments.changes])[:16]
    for until, listed in (("round", BEFORE_SEARCH), ("", AFTER_SEARCH)):
        sections = [one for one in listed if not arguments.only or one.__name__ in arguments.only]
        if not sections:
            continue
        subprocess.run([sys.executable, HERE / "crawl_stages.py", corpus.workspace.root, until], check=True)
        for section in sections:
            name = section.__name__
            if _written(arguments.output).get(name, {}).get("of") == key and not arguments.again:
                continue
            started = time.monotonic()
            found = section(corpus, arguments.data)
            seconds = round(time.monotonic() - started, 1)
            told = {**_written(arguments.output), "about": about(arguments.data, arguments.changes)}
            told[name] = {"of": key, "section_seconds": seconds, **found}
            arguments.output.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
            print(f"{name}: {seconds} s", flush=True)


def _written(output: Path) -> dict[str, Any]:
    return dict(json.loads(output.read_text(encoding="utf-8"))) if output.exists() else {}


if __name__ == "__main__":
    main()
