"""What is made again, and what is not, after settings change, parts are lost or a sample is asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_corpus
import pytest
from made_corpus import stage_of

from mixer import inspection
from pipelines import ingest, lineage, stages
from pipelines.corpus import Corpus
from pipelines.crawls import register
from pipelines.errors import StoreError
from pipelines.vectors import embed
from pipelines.vectors import stages as vector_stages


def test_a_changed_threshold_recomputes_verdicts_but_neither_signals_nor_embeddings(copied: Corpus) -> None:
    corpus = made_corpus.changed(copied, "quality.limits.gopher_short_doc=110")
    for name in ("documents", "edits", "signals", "signatures", "embeddings"):
        assert stage_of(corpus, name).label == stage_of(copied, name).label
    assert stage_of(corpus, "verdicts").manifest() is None
    reports = {(one.stage, one.crawl): one for one in made_corpus.run_corpus(corpus, until="signatures")}
    for name in ("documents", "edits", "signals", "signatures", "embeddings"):
        assert reports[name, "crawl-1"].reused == reports[name, "crawl-1"].parts > 0, name
    assert reports["verdicts", "crawl-1"].reused == 0
    assert reports["verdicts", "crawl-1"].counts["kept"] < 150


def test_a_looser_gate_embeds_the_difference_only(copied: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = _counting(monkeypatch)
    tight = made_corpus.changed(copied, "embeddings.languages=['en']")
    vector_stages.run_embeddings(tight, "crawl-1")
    assert encoded == []  # all of them are in the older, looser one
    tightest = stage_of(tight, "embeddings").finished()["counts"]["kept"]
    copied.workspace.delete("embeddings", "crawl-1", stage_of(copied, "embeddings").recipe.digest)
    loose = made_corpus.changed(tight, "embeddings.languages=[]")
    vector_stages.run_embeddings(loose, "crawl-1")
    assert sum(encoded) == 170 - tightest > 0
    # and the vectors are those that it would have given from nothing
    assert stage_of(loose, "embeddings").finished()["content"] == made_corpus.contents(copied)[_label(loose)]


def _label(corpus: Corpus) -> str:
    return stage_of(corpus, "embeddings").label


def _counting(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    encoded: list[int] = []
    encode = embed.StaticEncoder.encode

    def counting(self: embed.StaticEncoder, texts: list[str]) -> Any:
        encoded.append(len(texts))
        return encode(self, texts)

    monkeypatch.setattr(embed.StaticEncoder, "encode", counting)
    return encoded


def test_vectors_of_other_texts_with_the_same_ids_are_not_reused(
    copied: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = _counting(monkeypatch)
    other = made_corpus.changed(copied, "ingest.main_content=false")
    made_corpus.run_corpus(other, until="signals")
    assert stage_of(other, "documents").label != stage_of(copied, "documents").label
    vector_stages.run_embeddings(other, "crawl-1")
    assert sum(encoded) == 170


def test_a_sample_is_a_share_of_the_same_documents(built: Corpus, fresh: Callable[..., Corpus]) -> None:
    ids = {}
    for share in (0.3, 0.6):
        corpus = fresh(str(share), changes=(f"ingest.sample={share}",))
        made_corpus.run_corpus(corpus, until="documents")
        stage = lineage.documents(corpus, "crawl-1")
        ids[share] = {one for part in stage.sidecars() for one in stage.read(part, ["id"])["id"].to_pylist()}
        assert stage.finished()["counts"]["dropped"]["not_sampled"] > 0
        assert len(ids[share]) == pytest.approx(170 * share, abs=25)
    every = lineage.documents(built, "crawl-1")
    whole = {one for part in every.sidecars() for one in every.read(part, ["id"])["id"].to_pylist()}
    assert ids[0.3] < ids[0.6] < whole


def test_a_part_that_was_lost_is_made_again(copied: Corpus, built: Corpus) -> None:
    stage = stage_of(copied, "signals")
    part = next(iter(stage.sidecars()))
    copied.workspace.delete(*stage.steps, f"{part}.parquet")
    copied.workspace.delete(*stage.steps, f"{part}.json")
    report = stages.run_signals(copied, "crawl-1")
    assert report.parts - report.reused == 1
    assert made_corpus.files(Path(copied.workspace.root)) == made_corpus.files(Path(built.workspace.root))


@pytest.mark.parametrize("place", [0, 1, -1])
def test_a_damaged_part_of_a_crawl_file_is_made_again(fresh: Callable[..., Corpus], place: int) -> None:
    corpus = fresh(changes=("ingest.part_rows=15",))
    ingest.run_documents(corpus, "crawl-1")
    before = made_corpus.files(Path(corpus.workspace.root))
    stage = stage_of(corpus, "documents")
    parts = [part for part, side in stage.sidecars().items() if side["file"] == "pages.warc.gz"]
    assert len(parts) > 3
    damaged = stage.workspace.local(*stage.steps, f"{parts[place]}.parquet")
    damaged.write_bytes(damaged.read_bytes()[:100])
    with pytest.raises(StoreError, match=f"delete {parts[place]}.json beside it and run `sirdar documents` again"):
        stage.read(parts[place])
    stage.workspace.delete(*stage.steps, f"{parts[place]}.json")
    report = ingest.run_documents(corpus, "crawl-1")
    assert report.parts - report.reused == 1
    assert made_corpus.files(Path(corpus.workspace.root)) == before


def test_stages_that_lack_parts_of_their_documents_are_unfinished(copied: Corpus, crawl_files: Path) -> None:
    register(copied.workspace, "crawl-2", [str(crawl_files / "crawl-1" / "junk.jsonl")])
    corpus = made_corpus.opened(copied.workspace)
    assert _states(corpus)["documents"] == "unfinished"
    ingest.run_documents(corpus, "crawl-2")
    states = _states(corpus)
    assert (states["documents"], states["edits"], states["signatures"]) == ("finished", "unfinished", "unfinished")
    with pytest.raises(StoreError, match=r"signatures/crawl-2/\w+ lacks 1 parts of documents; run `sirdar signatures`"):
        lineage.duplicates(corpus, "crawl-2")
    made_corpus.run_corpus(corpus, until="duplicates")
    assert _states(corpus)["duplicates"] == "finished"


def _states(corpus: Corpus) -> dict[str, str]:
    return {line.stage: line.state for line in inspection.status(corpus) if line.crawl == "crawl-2"}


def test_files_that_settings_name_count_by_their_content(copied: Corpus, tmp_path: Path) -> None:
    for change, address in (
        ("language.model", lambda corpus: lineage.signals(corpus, "crawl-1")),
        ("tokens.tokenizer", lineage.tokenizer),
    ):
        labels = []
        for name, content in (("a", "one"), ("b", "one"), ("b", "two")):
            (tmp_path / name).write_text(content)
            labels.append(address(made_corpus.changed(copied, f"{change}='{tmp_path / name}'")).label)
        assert labels[0] == labels[1] != labels[2], change
