"""What holds for the corpus half as a whole, whatever runs it, kills it, or comes after."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_corpus
import pytest
from made_corpus import stage_of

from pipelines import ingest, lineage, workers
from pipelines.clusters import read_buckets, read_clusters
from pipelines.corpus import Corpus, Report, Silent
from pipelines.crawls import register
from pipelines.errors import AccountingError

ROWS = ("edits", "signals", "verdicts", "signatures", "duplicates", "embeddings", "fine_clusters", "tokens")
CRAWLS = ("crawl-1", "crawl-2")


# ---------------------------------------------------------------------------------------------------------
# Nothing is lost


def test_every_byte_and_record_of_the_crawls_is_accounted_for(built: Corpus, crawl_files: Path) -> None:
    for crawl in CRAWLS:
        sides = lineage.documents(built, crawl).sidecars().values()
        told: Counter[str] = Counter()
        for side in sides:
            counts = side["counts"]
            told[side["file"]] += counts["bytes_read"] + counts["bytes_lost"]
            assert counts["read"] == side["rows"] + sum(counts["dropped"].values()) + sum(counts["errors"].values())
        sizes = {
            str(path.relative_to(crawl_files / crawl)): path.stat().st_size
            for path in (crawl_files / crawl).rglob("*")
            if path.is_file()
        }
        assert told == sizes


def test_every_stage_has_a_row_for_every_document(built: Corpus) -> None:
    for crawl in CRAWLS:
        documents = lineage.documents(built, crawl)
        for part in documents.sidecars():
            ids = documents.read(part, ["id"])["id"]
            for name in ROWS:
                assert getattr(lineage, name)(built, crawl).read(part, ["id"])["id"].equals(ids), (name, part)


def test_every_document_that_leaves_is_counted_once_by_reason(built: Corpus) -> None:
    for crawl in CRAWLS:
        counts = {name: getattr(lineage, name)(built, crawl).finished()["counts"] for name in ("documents", *ROWS)}
        for name in ("verdicts", "duplicates", "embeddings", "tokens"):
            assert counts[name]["read"] == counts[name]["kept"] + sum(counts[name]["dropped"].values()), name
        assert counts["verdicts"]["read"] == counts["documents"]["kept"]
        assert counts["duplicates"]["read"] == counts["verdicts"]["kept"]
        assert counts["tokens"]["kept"] == counts["duplicates"]["kept"]


def test_whatever_a_document_is_a_duplicate_of_is_kept(built: Corpus) -> None:
    targets = lineage.targets(built)
    keeping = {one for part in targets.sidecars() for one in targets.read(part, ["id"])["id"].to_pylist()}
    methods: Counter[str] = Counter()
    for crawl in CRAWLS:
        verdicts, duplicates = lineage.verdicts(built, crawl), lineage.duplicates(built, crawl)
        lost = []
        for part in duplicates.sidecars():
            for verdict, row in zip(verdicts.read(part).to_pylist(), duplicates.read(part).to_pylist(), strict=True):
                if row["duplicate_of"]:
                    lost.append(row["duplicate_of"])
                    methods[row["method"]] += 1
                elif not verdict["reason"]:
                    keeping.add(row["id"])
        assert set(lost) <= keeping
    assert methods == {"record": 1, "exact": 2, "minhash": 3, "target": 1}  # as planned in tests/made_corpus.py


def test_tokens_of_kept_documents_are_those_of_clusters_and_pools(built: Corpus) -> None:
    tokens = sum(lineage.tokens(built, crawl).finished()["counts"]["tokens"] for crawl in CRAWLS)
    table, merged = read_clusters(built), read_buckets(built).merged
    pooled = lineage.pools(built).finished()["counts"]
    assert (merged >= 0).all()  # nothing is pruned here
    assert sum(table["tokens"].to_pylist()) == tokens == pooled["train_tokens"] + pooled["validation_tokens"]


def test_each_filter_takes_the_junk_that_was_made_for_it(built: Corpus) -> None:
    found = {}
    documents, verdicts = lineage.documents(built, "crawl-1"), lineage.verdicts(built, "crawl-1")
    for part, side in documents.sidecars().items():
        if side["file"] == "junk.jsonl":
            urls, reasons = documents.read(part, ["url"])["url"], verdicts.read(part, ["reason"])["reason"]
            found = {
                url.rsplit("/", 1)[-1]: reason
                for url, reason in zip(urls.to_pylist(), reasons.to_pylist(), strict=True)
            }
    assert found == {reason: reason for reason in made_corpus.JUNK}


def test_damage_costs_what_is_damaged_and_no_byte_more(built: Corpus, crawl_files: Path) -> None:
    (side,) = (
        side for side in lineage.documents(built, "crawl-1").sidecars().values() if side["file"] == "damaged.warc.gz"
    )
    data = (crawl_files / "crawl-1/damaged.warc.gz").read_bytes()
    starts = [place for place in range(len(data)) if data.startswith(b"\x1f\x8b\x08\x00\x00\x00\x00\x00", place)]
    members = [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]
    unreadable = [member for member in members if not _readable(member)]
    assert len(members) == 20
    assert side["counts"]["bytes_lost"] == sum(map(len, unreadable))
    assert side["rows"] == 9


def _readable(member: bytes) -> bool:
    try:
        gzip.decompress(member)
    except (OSError, EOFError, gzip.zlib.error):
        return False
    return True


@pytest.mark.parametrize("key", ["bytes_read", "bytes_lost", "read", "kept"])
def test_accounts_that_do_not_add_up_stop_the_run(fresh: Callable[..., Corpus], key: str) -> None:
    corpus = fresh()
    made_corpus.run_corpus(corpus, until="documents")
    stage = lineage.documents(corpus, "crawl-1")
    part = next(part for part, side in stage.sidecars().items() if side["file"] == "pages.warc.gz")
    side = stage.sidecar(part)
    side["counts"][key] += 1
    corpus.workspace.write_json(side, *stage.steps, f"{part}.json")
    with pytest.raises(AccountingError, match=r"pages\.warc\.gz"):
        ingest.run_documents(corpus, "crawl-1")


# ---------------------------------------------------------------------------------------------------------
# Whoever does the work, in whatever order, however often killed


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_killed_again_and_again_it_ends_as_if_never_killed(
    built: Corpus, fresh: Callable[..., Corpus], seed: int
) -> None:
    corpus = fresh(names=CRAWLS)
    ended = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed.py")), corpus.workspace.root, str(seed)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    killed = json.loads(ended.stdout)
    assert killed["by_timer"] >= 3
    assert killed["at_a_write"] >= 8
    made_corpus.run_corpus(made_corpus.changed(corpus, "engine.workers=2"))
    assert made_corpus.contents(corpus) == made_corpus.contents(built)
    assert _told(corpus) == _told(built)
    assert not [name for name in made_corpus.files(Path(corpus.workspace.root)) if name.endswith(".tmp")]


def _told(corpus: Corpus) -> dict[str, Any]:
    """All that sidecars and manifests say."""
    told = made_corpus.files(Path(corpus.workspace.root), lambda name: name.endswith(".json"))
    return {name: json.loads(data) for name, data in told.items()}


def test_a_killed_worker_changes_nothing(built: Corpus, fresh: Callable[..., Corpus]) -> None:
    killer = _Killer()
    corpus = replace(fresh(workers=2), progress=killer)
    reports = made_corpus.run_corpus(corpus, until="verdicts")
    assert killer.stage == "killed"
    assert [report.rows for report in reports if report.stage == "signals"] == [170]
    assert made_corpus.contents(corpus).items() <= made_corpus.contents(built).items()


class _Killer(Silent):
    """Kills a worker in the middle of a stage."""

    def __init__(self) -> None:
        self.stage = ""

    def begin(self, stage: str, crawl: str, *, total: int, done: int) -> None:
        self.stage = stage if self.stage != "killed" else "killed"

    def advance(self, count: int, rows: int) -> None:
        if self.stage == "signals":
            self.stage = "killed"
            executor = workers.shared_pool(2)._executor
            assert executor is not None
            os.kill(next(iter(executor._processes)), signal.SIGKILL)

    def end(self, report: Report) -> None: ...


def test_neither_order_of_inputs_nor_their_place_matters(
    built: Corpus, fresh: Callable[..., Corpus], crawl_files: Path, tmp_path: Path
) -> None:
    corpus = fresh(names=())
    shutil.copytree(crawl_files / "crawl-1", tmp_path / "moved")
    for name in ("junk.jsonl", "pages.warc.gz", "empty.jsonl", "damaged.warc.gz"):
        register(corpus.workspace, "crawl-1", [str(tmp_path / "moved" / name)])
    register(corpus.workspace, "crawl-1", [str(tmp_path / "moved")])
    corpus = made_corpus.opened(corpus.workspace)
    made_corpus.run_corpus(corpus, until="verdicts")
    for name in ("documents", "edits", "signals", "verdicts"):
        mine, other = (getattr(lineage, name)(one, "crawl-1") for one in (corpus, built))
        assert mine.label == other.label
        assert mine.finished() == other.finished()


def test_an_added_file_changes_no_part_that_was_there(
    built: Corpus, fresh: Callable[..., Corpus], crawl_files: Path
) -> None:
    corpus = fresh(names=())
    register(corpus.workspace, "crawl-1", [str(crawl_files / "crawl-1" / "pages.warc.gz")])
    made_corpus.run_corpus(made_corpus.opened(corpus.workspace))
    root = Path(corpus.workspace.root)
    first = made_corpus.files(root, lambda name: "/part-" in name)
    register(corpus.workspace, "crawl-1", [str(crawl_files / "crawl-1")])
    corpus = made_corpus.opened(corpus.workspace)
    made_corpus.run_corpus(corpus)
    now = made_corpus.files(root, lambda name: "/part-" in name)
    assert {name: now[name] for name in first} == first
    for name in ("documents", "edits", "signals", "verdicts", "signatures", "duplicates", "embeddings", "tokens"):
        # The tokeniser sees other text than where the file was added first, and so do its tokens.
        if name != "tokens":
            assert stage_of(corpus, name).finished() == stage_of(built, name).finished()


def test_a_later_crawl_changes_no_byte_of_an_earlier_one(
    built: Corpus, fresh: Callable[..., Corpus], crawl_files: Path
) -> None:
    corpus = fresh()
    made_corpus.run_corpus(corpus)
    root = Path(corpus.workspace.root)
    before = made_corpus.files(root)
    register(corpus.workspace, "crawl-2", [str(crawl_files / "crawl-2")])
    made_corpus.run_corpus(made_corpus.opened(corpus.workspace))
    after = made_corpus.files(root)
    assert {name: after[name] for name in before} == before
    assert len(after) > len(before)
    later = set(made_corpus.contents(corpus).items())
    assert set(made_corpus.contents(built).items()) <= later  # the same as with both from the start
