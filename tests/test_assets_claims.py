"""Every claim can be broken: each is judged on something that holds and on something that does not."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tiny

from assets import claims, evidence
from assets.claims import Finding
from pipelines import clusters, lineage, pooling
from pipelines.corpus import Corpus, Report, choose, keep, opened
from pipelines.crawls import register
from pipelines.duplicates import report as report_of_duplicates
from pipelines.records import DOCUMENTS, ID
from pipelines.store import Workspace
from pipelines.vectors.column import vector_column

IDS = pa.array([bytes([row]) * 16 for row in range(4)], ID)


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """One crawl of one file; its stages are written by the tests themselves."""
    workspace = Workspace(str(tmp_path / "ws"))
    keep(workspace, choose(workspace, None, preset="laptop", changes=[]))
    tiny.write_jsonl(tmp_path / "crawl" / "part.jsonl", [{"url": "u", "text": "some text"}])
    register(workspace, "c", [str(tmp_path / "crawl")])
    return opened(workspace)


def report(stage: str = "", **counts: Any) -> Report:
    return Report(stage, "c", stage, 0, counts, 1.0, 1, 0, 0, "")


def write(corpus: Corpus, stage: str, table: pa.Table, **told: Any) -> None:
    """The one part of a stage, sealed."""
    place = getattr(lineage, stage)(corpus, "c")
    place.commit("part-0", table.add_column(0, pa.field("id", ID, nullable=False), IDS[: len(table)]), **told)
    place.seal(["part-0"])


def documents(corpus: Corpus, sizes: list[int], *, lost: int = 0) -> None:
    (file,) = corpus.crawl("c").files.values()
    rows = [
        {field.name: "" if field.type == pa.string() else 0 for field in DOCUMENTS if field.name != "id"}
        | {"num_bytes": size}
        for size in sizes
    ]
    counts = {"bytes_read": file[1] - 3, "bytes_lost": 3 - lost}
    schema = pa.schema([field for field in DOCUMENTS if field.name != "id"])
    write(corpus, "documents", pa.Table.from_pylist(rows, schema=schema), counts=counts, file="part.jsonl")


@pytest.mark.parametrize(
    ("read", "kept", "holds"),
    [(1000, 50, True), (1000, 1, False), (100_000, 100_000, False), (3, 3, True), (3, 0, False)],
)
def test_keeps_plausible_share(corpus: Corpus, read: int, kept: int, holds: bool) -> None:
    assert claims.keeps_plausible_share(corpus, report(read=read, kept=kept)).holds is holds


@pytest.mark.parametrize(("kept", "duplicates", "holds"), [(900, 100, True), (10, 990, False), (1, 9, True)])
def test_duplicate_rate_below_limit(corpus: Corpus, kept: int, duplicates: int, holds: bool) -> None:
    told = report(kept=kept, dropped={"duplicate_exact": duplicates})
    assert claims.duplicate_rate_below_limit(corpus, told).holds is holds


def test_all_bytes_accounted_for(corpus: Corpus, tmp_path: Path) -> None:
    documents(corpus, [1])
    found = claims.all_bytes_accounted_for(corpus, "c")
    assert found.holds
    assert found.told["bytes_lost"] == 3
    with (tmp_path / "crawl" / "part.jsonl").open("a") as file:
        file.write("{}\n")  # the file has grown since it was read
    assert not claims.all_bytes_accounted_for(corpus, "c").holds
    (tmp_path / "crawl" / "part.jsonl").unlink()
    assert claims.all_bytes_accounted_for(corpus, "c").told["files_gone_since"] == 1


def test_all_bytes_accounted_for_misses_bytes(corpus: Corpus) -> None:
    documents(corpus, [1], lost=2)
    assert claims.all_bytes_accounted_for(corpus, "c").told["wrong"] == "part.jsonl"


def test_no_empty_text(corpus: Corpus) -> None:
    documents(corpus, [3, 0, 5])
    assert claims.no_empty_text(corpus, "c") == Finding(False, {"empty": 1})


def test_rows_match_documents(corpus: Corpus) -> None:
    documents(corpus, [1, 2, 3])
    write(corpus, "verdicts", pa.table({"reason": pa.array([None] * 3, pa.string())}))
    assert claims.rows_match_documents(corpus, report("verdicts")).holds
    write(corpus, "verdicts", pa.table({"reason": pa.array([None] * 2, pa.string())}))
    found = claims.rows_match_documents(corpus, report("verdicts"))
    assert (found.holds, found.told["wrong"]) == (False, "part-0")


def test_ids_unique(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = pa.array([b"a" * 16, b"a" * 16, b"b" * 16, b"b" * 16], ID)

    def judged(reasons: list[str | None], copies: list[bytes | None]) -> Finding:
        tables = {
            "verdicts": pa.table({"id": ids, "reason": pa.array(reasons, pa.string())}),
            "duplicates": pa.table({"id": ids, "duplicate_of": pa.array(copies, ID)}),
        }
        stages = [Made(table, name) for name, table in tables.items()]
        monkeypatch.setattr(lineage, "dropping", lambda *given, clustered: stages)
        return claims.ids_unique(corpus, "c")

    assert judged([None, "short", None, None], [None, None, None, b"c" * 16]) == Finding(
        True, {"kept": 2, "repeated": 0}
    )
    assert judged([None, "short", None, None], [None] * 4) == Finding(False, {"kept": 3, "repeated": 1})


@pytest.mark.parametrize(("dropped", "holds"), [(90, True), (91, False)])
def test_a_source_that_loses_too_much_fails_by_its_name(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, dropped: int, holds: bool
) -> None:
    rows = [
        {"source": "books.example", "read": 100, "dropped": dropped, "loss": dropped / 100},
        {"source": "small.example", "read": 99, "dropped": 99, "loss": 1.0},  # under min_source_documents
        {"source": "blog.example", "read": 500, "dropped": 5, "loss": 0.01},
    ]
    table = pa.Table.from_pylist(rows, report_of_duplicates.SOURCE_LOSSES)
    monkeypatch.setattr(report_of_duplicates, "source_losses", lambda *given: table)
    found = claims.sources_keep_enough(corpus, "c")
    assert found.holds is holds
    named = {name for name in found.told if name.endswith(".example")}
    assert named == (set() if holds else {"books.example"})


@pytest.mark.parametrize(("most", "holds"), [(0, True), (400, True), (399, False)])
def test_a_group_over_the_cap_is_named_by_its_keeper(corpus: Corpus, most: int, holds: bool) -> None:
    capped = corpus.settings.duplicates.model_copy(update={"max_group": most})
    strict = replace(corpus, settings=corpus.settings.model_copy(update={"duplicates": capped}))
    found = claims.groups_below_cap(strict, report("duplicates", largest_groups={"ab" * 16: 400, "cd" * 16: 2}))
    assert found.holds is holds
    assert ("ab" * 16 in found.told) is not holds


class Made:
    """A stage of one part that is only a table."""

    def __init__(self, table: pa.Table, name: str = "") -> None:
        self.table = table
        self.recipe = SimpleNamespace(stage=name)

    def finished(self) -> dict[str, Any]:
        return {"parts": [{"part": "part-0", "rows": len(self.table)}]}

    def read(self, part: str, columns: list[str]) -> pa.Table:
        return self.table.select(columns)


@pytest.mark.parametrize(
    ("vectors", "embedded", "holds"),
    [
        ([[1, 0], [0, 1], [0, 0]], [True, True, False], True),
        ([[1, 0], [np.nan, 1], [0, 0]], [True, True, False], False),
        ([[1, 0], [np.inf, 1], [0, 0]], [True, True, False], False),
        ([[1, 0], [0, 1], [0, 1]], [True, True, False], False),  # a vector that no document should have
        ([[0, 0], [0, 0], [0, 1]], [True, True, True], False),  # an encoder that knows no word
    ],
)
def test_vectors_finite(corpus: Corpus, vectors: list[list[float]], embedded: list[bool], holds: bool) -> None:
    table = pa.table({"embedded": embedded, "vector": vector_column(np.array(vectors, np.float16))})
    write(corpus, "embeddings", table)
    assert claims.vectors_finite(corpus, "c").holds is holds


@pytest.mark.parametrize(
    ("tokens", "holds"), [([50, 30, 20], True), ([95, 5], False), ([100], False), ([60, 40, 0], False)]
)
def test_sizes_not_degenerate(corpus: Corpus, monkeypatch: pytest.MonkeyPatch, tokens: list[int], holds: bool) -> None:
    monkeypatch.setattr(clusters, "read_clusters", lambda corpus: pa.table({"tokens": tokens}))
    assert claims.sizes_not_degenerate(corpus, report("clusters")).holds is holds


def test_tokens_match_manifest(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    class Held:
        num_tokens = {"train": np.array([8, 5]), "validation": np.array([2, 0])}  # noqa: RUF012

    monkeypatch.setattr(pooling, "open_pool", lambda corpus: Held)
    for tokens, holds in (([10, 5], True), ([10, 6], False)):
        monkeypatch.setattr(clusters, "read_clusters", lambda corpus, n=tokens: pa.table({"tokens": n}))
        assert claims.tokens_match_manifest(corpus).holds is holds


@pytest.mark.parametrize(("losses", "holds"), [([3.0, 3.1, 3.2, 3.3, None], True), ([3.0, None], False), ([], False)])
def test_enough_trials_succeeded(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, losses: list[float | None], holds: bool
) -> None:
    monkeypatch.setattr(evidence, "trials", lambda corpus, number: [{"loss": loss} for loss in losses])
    assert claims.enough_trials_succeeded(corpus, report("round 1")).holds is holds


def test_rank_correlation_above_chance_only_warns(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    for better in (True, False):
        tested = {"cross_validation": {"spearman": 0.5, "chance": 0.3, "better_than_chance": better}}
        monkeypatch.setattr(evidence, "fit", lambda corpus, number, found=tested: found)
        found = claims.rank_correlation_above_chance(corpus, report("predictor 2"))
        assert (found.holds, found.severity.value) == (better, "WARN")
    monkeypatch.setattr(evidence, "fit", lambda corpus, number: {})
    assert not claims.rank_correlation_above_chance(corpus, report("predictor 1")).holds


@pytest.mark.parametrize(
    ("weights", "holds"), [([0.5, 0.5], True), ([0.5, 0.4], False), ([1.5, -0.5], False), ([1.0], False)]
)
def test_weights_sum_to_one(corpus: Corpus, monkeypatch: pytest.MonkeyPatch, weights: list[float], holds: bool) -> None:
    monkeypatch.setattr(evidence, "mixtures", lambda corpus: (["a", "b"], {"search": weights, "natural": [0.9, 0.1]}))
    assert claims.weights_sum_to_one(corpus, report("mixture")).holds is holds


@pytest.mark.parametrize(("mine", "holds"), [(3.0, True), (3.2, False), (None, False)])
def test_beats_baselines_only_warns(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, mine: float | None, holds: bool
) -> None:
    means = {"search": mine, "natural": 3.5, "nearest": 3.1, "failed": None}
    monkeypatch.setattr(evidence, "comparison", lambda corpus: {name: {"mean": mean} for name, mean in means.items()})
    found = claims.beats_baselines(corpus, report("comparison"))
    assert (found.holds, found.severity.value) == (holds, "WARN")
