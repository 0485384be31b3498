"""Looking at a workspace: its status, and where a document, a record or an address is."""

from collections import Counter
from pathlib import Path

import made_corpus
import numpy as np
import pyarrow.parquet as pq
import pytest

from mixer import inspection
from mixer import lineage as mixing
from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.crawls import register
from pipelines.errors import InputError, StoreError
from pipelines.ingest import run_documents


def test_status_adds_up(built: Corpus) -> None:
    lines = {(line.stage, line.crawl): line for line in inspection.status(built)}
    assert {line.state for line in lines.values()} == {"finished"}
    assert {stage for stage, _ in lines} == set(made_corpus.CORPUS_STAGES) - made_corpus.UNASKED
    for crawl in ("crawl-1", "crawl-2"):
        counts = lines["documents", crawl].counts
        assert counts["read"] == counts["kept"] + sum(counts["dropped"].values()) + sum(counts["errors"].values())
        assert lines["verdicts", crawl].counts["read"] == counts["kept"] == lines["documents", crawl].rows
    first = lines["documents", "crawl-1"]
    assert (first.errors, first.bytes_lost) == (2, first.counts["bytes_lost"])
    assert first.bytes_lost > 0


def test_status_of_a_workspace_where_nothing_ran(crawl_files: Path, encoder: Path, tmp_path: Path) -> None:
    corpus = made_corpus.make(tmp_path / "ws", crawl_files, encoder)
    assert {line.state for line in inspection.status(corpus)} == {"absent"}
    made_corpus.run_corpus(corpus, until="documents")
    copied = lineage.documents(corpus, "crawl-1")
    corpus.workspace.delete(*copied.steps, "manifest.json")
    states = {line.stage: line.state for line in inspection.status(corpus)}
    assert states["documents"] == "unfinished"


def _traced(corpus: Corpus, wanted: str) -> dict[str, str]:
    return dict(inspection.trace(corpus, wanted))


def test_a_kept_document_is_traced_to_its_cluster(built: Corpus) -> None:
    told = _traced(built, "http://one.example/astronomy-5")
    assert "byte" in told["documents"]
    assert "pages.warc.gz" in told["documents"]
    assert told["verdicts"] == told["duplicates"] == "kept"
    assert told["signals"].startswith("en (")
    assert "cluster" in told["fine_clusters"]
    assert int(told["tokens"].split()[0]) > 20
    shard = next(built.workspace.local(*mixing.dataset(built).steps).glob("data/train-*.parquet"))
    part_of = pq.read_table(shard, columns=["id"])["id"][0].as_py()
    assert _traced(built, part_of)["verdicts"] == "kept"
    assert _traced(built, part_of[:12]) == _traced(built, part_of)


def test_a_dropped_document_says_why_and_where_it_ends(built: Corpus) -> None:
    told = _traced(built, "http://junk.example/lorem_ipsum")
    assert told["verdicts"] == "dropped: lorem_ipsum"
    assert list(told)[-1] == "verdicts"


def test_a_duplicate_names_a_keeper_that_can_be_traced(built: Corpus) -> None:
    told = _traced(built, "http://two.example/copy")
    assert told["duplicates"].startswith("dropped: exact duplicate of ")
    keeper = _traced(built, told["duplicates"].rsplit(" ", 1)[-1])
    assert "http://one.example/astronomy-3" in keeper["documents"]
    assert keeper["duplicates"] == "kept"
    assert _traced(built, "http://two.example/target")["duplicates"].startswith("dropped: target duplicate of ")


def test_a_reject_says_where_it_lay(built: Corpus) -> None:
    ((stage, told),) = inspection.trace(built, "http://one.example/missing")
    assert stage == "documents"
    assert told.startswith("rejected in crawl-1: status_404 (http://one.example/missing, byte ")
    assert told.endswith("of pages.warc.gz)")


def test_every_record_of_a_url_is_told_documents_first(built: Corpus, copied: Corpus, crawl_files: Path) -> None:
    told = inspection.trace(built, "http://one.example/near")
    first, between, last = told[0], told[-2], told[-1]
    assert first[1].startswith("crawl-1, byte ")
    assert between == ("", "")
    assert last[1].startswith("rejected in crawl-1: duplicate_record (http://one.example/near, byte ")
    assert [stage for stage, _ in told].count("documents") == 2
    register(copied.workspace, "crawl-3", [str(crawl_files / "crawl-1" / "pages.warc.gz")])
    grown = made_corpus.opened(copied.workspace)
    run_documents(grown, "crawl-3")
    told = inspection.trace(grown, "http://one.example/near")
    begun = [text.split()[0 if text.startswith("crawl") else 2] for stage, text in told if stage == "documents"]
    assert begun == ["crawl-1,", "crawl-3,", "crawl-1:", "crawl-3:"]
    assert told.count(("", "")) == 3


def test_a_stage_with_rows_of_other_documents_is_not_told_from(copied: Corpus) -> None:
    stage = lineage.signals(copied, "crawl-1")
    for path in copied.workspace.local(*stage.steps).glob("part-*.parquet"):
        table = pq.read_table(path)
        pq.write_table(table.take(np.arange(len(table))[::-1]), path)
    with pytest.raises(StoreError, match=r"signals/crawl-1/.* is not of document [0-9a-f]{32}; delete"):
        inspection.trace(copied, "http://one.example/astronomy-5")


def test_what_is_not_there_or_not_unique_is_told(built: Corpus) -> None:
    with pytest.raises(InputError, match=r"\(not_sampled\) or that are dropped by type .* but not listed"):
        inspection.trace(built, "http://nowhere/")
    with pytest.raises(InputError, match="no document or reject 'http://nowhere/'"):
        inspection.trace(built, "http://nowhere/")
    ids = Counter[str]()
    for crawl in built.crawls:
        stage = lineage.documents(built, crawl.name)
        for part in stage.sidecars():
            ids.update(one.hex() for one in stage.read(part, ["id"])["id"].to_pylist())
    with pytest.raises(InputError, match="no document or reject 'ffffffff'"):
        inspection.trace(built, "ffffffff")
