"""Stages that run only where the settings ask: dialects, scores, contamination, repeats and semantic duplicates."""

from pathlib import Path

import made_corpus
import numpy as np
import pytest

from mixer import inspection
from mixer.job import planned
from pipelines import lineage
from pipelines.columns import DROPS, kept_rows, parts_of
from pipelines.corpus import Corpus
from pipelines.errors import InputError, SettingsError
from pipelines.optional import dialects_of

OPTIONAL = ("dialects", "scores", "contamination", "repeats", "semantic")
CRAWLS = ("crawl-1", "crawl-2")


def test_without_being_asked_for_none_is_in_the_job(built: Corpus) -> None:
    assert not {step.name for step, _ in planned(built)} & set(OPTIONAL)
    assert not {line.stage for line in inspection.status(built)} & set(OPTIONAL)
    assert "by" not in lineage.clusters(built).recipe.settings  # the address is that of a workspace before it


def test_each_is_aligned_with_the_documents_and_counted(all_on: Corpus) -> None:
    told = {(line.stage, line.crawl): line for line in inspection.status(all_on)}
    for crawl in CRAWLS:
        rows = told["documents", crawl].rows
        for name in OPTIONAL:
            assert told[name, crawl].state == "finished", name
            assert told[name, crawl].rows == rows, name
        for name in ("verdicts", "duplicates", "repeats", "semantic"):
            counts = told[name, crawl].counts
            assert counts["read"] == counts["kept"] + sum(counts["dropped"].values()), name


def test_what_a_stage_keeps_is_what_the_next_one_judges(all_on: Corpus) -> None:
    """No row leaves without a reason: kept by one is read by the next, but for what is not embedded."""
    for crawl in CRAWLS:
        counts = {name: getattr(lineage, name)(all_on, crawl).finished()["counts"] for name in (*DROPS, "tokens")}
        assert counts["duplicates"]["read"] == counts["verdicts"]["kept"]
        assert counts["repeats"]["read"] == counts["duplicates"]["kept"]
        assert counts["semantic"]["read"] == counts["repeats"]["kept"]
        assert counts["tokens"]["kept"] == counts["semantic"]["kept"]


def test_no_document_leaves_for_one_that_leaves_too(all_on: Corpus) -> None:
    kept, keepers = set(), set()
    for crawl in CRAWLS:
        for part in parts_of(all_on, crawl):
            tables = {stage.recipe.stage: stage.read(part) for stage in lineage.dropping(all_on, crawl)}
            ids = tables["semantic"]["id"].to_pylist()
            kept.update(one for one, stays in zip(ids, kept_rows(tables), strict=True) if stays)
            keepers.update(tables["semantic"]["semantic_duplicate_of"].drop_null().to_pylist())
    assert keepers
    assert keepers <= kept


def test_a_leaked_item_drops_its_document_with_the_test_as_evidence(all_on: Corpus) -> None:
    found = []
    for part in parts_of(all_on, "crawl-1"):
        reasons = lineage.verdicts(all_on, "crawl-1").read(part, ["id", "reason"]).to_pylist()
        evidence = lineage.contamination(all_on, "crawl-1").read(part).to_pylist()
        found += [(row, proof) for row, proof in zip(reasons, evidence, strict=True) if proof["contaminated_by"]]
    assert found
    for row, proof in found:
        assert row["reason"]  # `contaminated`, or what was asked before it
        assert proof["contaminated_by"] == ["quiz"]
    dropped = [row["id"] for row, _ in found if row["reason"] == "contaminated"]
    assert dropped
    told = inspection.trace(all_on, dropped[0].hex())
    assert ("verdicts", "dropped: contaminated") in told
    assert any(stage == "contamination" and "quiz" in line for stage, line in told)


def test_reporting_alone_drops_nothing_and_computes_only_verdicts(all_on: Corpus) -> None:
    lenient = made_corpus.changed(all_on, "decontamination.action=report")
    assert lineage.contamination(lenient, "crawl-1").label == lineage.contamination(all_on, "crawl-1").label
    assert lineage.verdicts(lenient, "crawl-1").label != lineage.verdicts(all_on, "crawl-1").label
    reports = made_corpus.run_corpus(lenient, until="verdicts")
    computed = {report.stage for report in reports if report.parts > report.reused}
    assert computed == {"verdicts"}
    assert "contaminated" not in lineage.verdicts(lenient, "crawl-1").finished()["counts"]["dropped"]


def test_a_score_below_its_limit_is_a_reason_and_reads_no_text(all_on: Corpus) -> None:
    score = all_on.settings.scores[0]
    strict = made_corpus.changed(all_on, f'scores=[{{name="stars", path="{score.path}", label="stars", min=0.9}}]')
    assert lineage.scores(strict, "crawl-1").label == lineage.scores(all_on, "crawl-1").label
    made_corpus.run_corpus(strict, until="verdicts")
    assert lineage.verdicts(strict, "crawl-1").finished()["counts"]["dropped"]["score_stars"] > 0


def test_another_preset_of_rules_computes_no_signal_again(all_on: Corpus, built: Corpus) -> None:
    other = made_corpus.changed(all_on, 'quality.preset="curator"')
    assert lineage.signals(other, "crawl-1").label == lineage.signals(all_on, "crawl-1").label
    assert lineage.dialects(other, "crawl-1").label != lineage.dialects(all_on, "crawl-1").label
    assert dialects_of(built.settings) == {}


def test_tokens_are_of_the_text_without_its_repeats(all_on: Corpus) -> None:
    assert lineage.cuts(all_on, "crawl-2").recipe.stage == "repeats"
    for part in parts_of(all_on, "crawl-2"):
        tables = {stage.recipe.stage: stage.read(part) for stage in lineage.dropping(all_on, "crawl-2")}
        tokens = np.asarray(lineage.tokens(all_on, "crawl-2").read(part, ["num_tokens"])["num_tokens"])
        assert ((tokens > 0) == kept_rows(tables)).all()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ('quality.preset="curatr"', "curator"),
        ('scores=[{name="x", path="nowhere.bin"}]', "nowhere.bin"),
        ('decontamination.sets=[{name="x", path="nowhere.jsonl"}]', "nowhere.jsonl"),
    ],
)
def test_settings_that_name_nothing_are_told(
    crawl_files: Path, encoder: Path, tmp_path: Path, change: str, told: str
) -> None:
    with pytest.raises((SettingsError, InputError), match=told):
        made_corpus.run_corpus(made_corpus.make(tmp_path, crawl_files, encoder, changes=(change,)), until="verdicts")


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same(
    all_on: Corpus, crawl_files: Path, encoder: Path, tmp_path: Path
) -> None:
    other = made_corpus.make(tmp_path / "ws", crawl_files, encoder, names=CRAWLS, workers=2)
    same = Corpus(other.workspace, all_on.settings.model_copy(update={"engine": other.settings.engine}))
    made_corpus.run_corpus(same, until="tokens")
    ours, theirs = made_corpus.contents(same), made_corpus.contents(all_on)
    assert {label: ours[label] for label in ours} == {label: theirs[label] for label in ours}
