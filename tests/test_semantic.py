"""Semantic duplicates against comparing every pair, the paper's own rule, and a corpus of made vectors."""

import itertools
import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines import lineage
from pipelines.corpus import Corpus, choose, keep, opened
from pipelines.crawls import register
from pipelines.duplicates import near
from pipelines.duplicates.semantic import run_semantic
from pipelines.ingest import run_documents
from pipelines.records import ID
from pipelines.store import Stage, Workspace

WIDTH = 8


def clustered(num_rows: int, seed: int, spread: float = 0.25) -> np.ndarray:
    """float16 vectors around a few directions, so that cosines lie about any threshold; one in ten comes twice."""
    numbers = np.random.default_rng(seed)
    centres = numbers.normal(size=(4, WIDTH))
    rows = centres[numbers.integers(4, size=num_rows)] + spread * numbers.normal(size=(num_rows, WIDTH))
    again = numbers.random(num_rows) < 0.1
    rows[again] = rows[numbers.integers(num_rows, size=again.sum())]
    return rows.astype(np.float16)


def cosines(vectors: np.ndarray) -> np.ndarray:
    """float64 [n, n], term after term."""
    rows = vectors.astype(np.float64)
    products = np.zeros((len(rows), len(rows)))
    for column in rows.T:
        products += np.outer(column, column)
    lengths = np.sqrt(np.diag(products))
    both = np.outer(lengths, lengths)
    return np.minimum(1.0, np.divide(products, both, out=np.zeros_like(both), where=both > 0))


def by_hand(vectors: np.ndarray, num_fixed: int, threshold: float) -> tuple[list[int], list[float]]:
    """(keeper, similarity) by comparing each row with every kept one before it."""
    near = cosines(vectors)
    keeper, similarity, kept = [-1] * len(vectors), [0.0] * len(vectors), list[int]()
    for row in range(len(vectors)):
        best = max(kept, key=lambda other: (near[row, other], -other), default=-1)
        if row >= num_fixed and best >= 0 and near[row, best] >= threshold:
            keeper[row], similarity[row] = best, near[row, best]
        else:
            kept.append(row)
    return keeper, similarity


def found(vectors: np.ndarray, num_fixed: int, threshold: float, folder: Path, memory: int = 1 << 24) -> Any:
    return near.near_kept(vectors, num_fixed, threshold, memory_bytes=memory, scratch=folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("semantic")


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.integers(0, 10**6), st.floats(0.5, 1.0), st.integers(0, 20))
def test_kept_rows_are_those_of_comparing_every_pair(
    folder: Path, num_rows: int, seed: int, threshold: float, num_fixed: int
) -> None:
    vectors = clustered(num_rows, seed)
    keeper, similarity = found(vectors, num_fixed, threshold, folder)
    wanted = by_hand(vectors, num_fixed, threshold)
    assert keeper.tolist() == wanted[0]
    assert similarity.tolist() == np.array(wanted[1], np.float32).tolist()


def test_the_paper_drops_what_is_dropped_here_and_what_only_chains_reach(folder: Path) -> None:
    """SemDeDup drops a row whose largest similarity to any row before it, dropped or not, is above 1 - epsilon."""
    vectors = clustered(400, 5)
    threshold = 0.9
    keeper, _ = found(vectors, 0, threshold, folder)
    before = np.triu(cosines(vectors), 1).max(axis=0)
    paper, ours = set(np.flatnonzero(before >= threshold)), set(np.flatnonzero(keeper >= 0))
    assert ours < paper
    near = cosines(vectors)
    for row in paper - ours:  # only rows that are dropped themselves are near it
        close = np.flatnonzero(near[row, :row] >= threshold)
        assert len(close)
        assert (keeper[close] >= 0).all()


def test_without_chains_the_paper_and_we_agree(folder: Path) -> None:
    """Tight groups far apart: all of a group are near each other."""
    vectors = clustered(300, 3, spread=0.005)
    keeper, _ = found(vectors, 0, 0.98, folder)
    assert set(np.flatnonzero(keeper >= 0)) == set(np.flatnonzero(np.triu(cosines(vectors), 1).max(axis=0) >= 0.98))
    assert (keeper < 0).sum() == 4


@pytest.mark.parametrize("num_fixed", [0, 150])
def test_blocks_change_no_bit(folder: Path, num_fixed: int) -> None:
    vectors = clustered(600, 1)
    assert near._block(WIDTH, 1) == near.MIN_BLOCK < 600 < near._block(WIDTH, 1 << 30)
    whole, parted = (found(vectors, num_fixed, 0.9, folder, memory) for memory in (1 << 30, 1))
    assert 100 < (whole[0] >= 0).sum() < 590
    assert all(np.array_equal(one, other) for one, other in zip(whole, parted, strict=True))
    assert whole[0].tolist() == by_hand(vectors, num_fixed, 0.9)[0]


def test_vectors_of_zeros_are_like_nothing_and_equal_ones_alike(folder: Path) -> None:
    vectors = np.array([[0] * 4, [0] * 4, [1, 2, 3, 4], [1, 2, 3, 4], [2, 4, 6, 8]], np.float16)
    keeper, similarity = found(vectors, 0, 1.0, folder)
    assert keeper.tolist() == [-1, -1, -1, 2, 2]
    assert similarity.tolist() == [0, 0, 0, 1, 1]


def test_blocks_fit_into_the_memory_that_is_given() -> None:
    for memory in (1 << 20, 1 << 26, 1 << 34):
        block = near._block(256, memory)
        assert 4 * block * (3 * 256 + 2 * block) <= memory or block == near.MIN_BLOCK


# ---------------------------------------------------------------------------------------------------------
# In a corpus: documents of a file, everything between them and the clusters made by hand

Crawls = Mapping[str, Sequence[np.ndarray]]  # of each crawl, its files' vectors


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Corpus]:
    for name in ("embeddings", "fine_clusters", "verdicts", "duplicates"):
        monkeypatch.setattr(lineage, name, _address(name))
    numbers = itertools.count()

    def run(crawls: Crawls, *changes: str, cluster: int | None = None, dropped: str = "") -> Corpus:
        root = tmp_path / str(next(numbers))
        workspace = Workspace(str(root / "ws"))
        keep(workspace, choose(workspace, None, preset=None, changes=["engine.workers=1", *changes]))
        for crawl, files in crawls.items():
            for file, vectors in enumerate(files):
                rows = [{"id": f"{crawl} {file} {n}", "url": f"{file}", "text": f"{n}"} for n in range(len(vectors))]
                path = root / crawl / f"{file}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(json.dumps(row) + "\n" for row in rows))
            register(workspace, crawl, [str(root / crawl)])
            corpus = opened(workspace)
            run_documents(corpus, crawl)
            _put(corpus, crawl, files, cluster, dropped)
            run_semantic(corpus, crawl)
        return corpus

    return run


def _address(name: str) -> Callable[[Corpus, str], Stage]:
    return lambda corpus, crawl: lineage._stage(corpus, name, crawl, {})


def _put(corpus: Corpus, crawl: str, files: Sequence[np.ndarray], cluster: int | None, dropped: str) -> None:
    """The stages before: two clusters, or the one that is given; the first row of each file lost to `dropped`."""
    documents = lineage.documents(corpus, crawl)
    parts = [part["part"] for part in documents.finished()["parts"]]
    for part in parts:
        table = documents.read(part, ["id", "url", "text"])
        vectors = files[int(table["url"][0].as_py())][[int(text) for text in table["text"].to_pylist()]]
        rows = len(vectors)
        lost = np.arange(rows) == 0
        numbers = (vectors[:, 0] > 0).astype(np.int32) if cluster is None else np.full(rows, cluster, np.int32)
        gone = {stage: lost & (stage == dropped) for stage in ("embeddings", "verdicts", "duplicates")}
        columns: dict[str, dict[str, Any]] = {
            "embeddings": {
                "embedded": pa.array(~gone["embeddings"]),
                "vector": pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1]),
            },
            "fine_clusters": {"cluster": numbers, "distance": np.abs(vectors[:, 1]).astype(np.float32)},
            "verdicts": {"reason": pa.array(["bad" if one else None for one in gone["verdicts"]], pa.string())},
            "duplicates": {"duplicate_of": pa.array([bytes(16) if one else None for one in gone["duplicates"]], ID)},
        }
        for name, given_ in columns.items():
            ids = {"id": table["id"].combine_chunks()}
            _address(name)(corpus, crawl).commit(part, pa.table({**ids, **given_}))
    for name in ("embeddings", "fine_clusters", "verdicts", "duplicates"):
        _address(name)(corpus, crawl).seal(parts)


def rows_of(corpus: Corpus, crawl: str) -> dict[bytes, tuple[bytes | None, float | None]]:
    stage = lineage.semantic(corpus, crawl)
    rows = [row for part in stage.sidecars() for row in stage.read(part).to_pylist()]
    return {row["id"]: (row["semantic_duplicate_of"], row["similarity"]) for row in rows}


def vectors_of(corpus: Corpus, crawl: str) -> list[tuple[bytes, np.ndarray]]:
    documents, embeddings = lineage.documents(corpus, crawl), lineage.embeddings(corpus, crawl)
    found = []
    for part in documents.sidecars():
        vectors = np.array(embeddings.read(part, ["vector"])["vector"].to_pylist(), np.float16)
        found += list(zip(documents.read(part, ["id"])["id"].to_pylist(), vectors, strict=True))
    return found


@pytest.mark.parametrize("rule", ["hard", "easy", "random"])
def test_the_rule_says_who_keeps_and_an_earlier_crawl_wins(run: Callable[..., Corpus], rule: str) -> None:
    crawls = {"old": [clustered(40, 1), clustered(30, 2)], "new": [clustered(50, 3), clustered(20, 1)]}
    corpus = run(crawls, "semantic.threshold=0.9", f"semantic.keep={rule!r}")
    kept: list[tuple[bytes, np.ndarray]] = []
    for crawl in crawls:
        sign = {"hard": -1, "easy": 1, "random": 0}[rule]
        members = sorted(vectors_of(corpus, crawl), key=lambda row: (sign * abs(np.float32(row[1][1])), row[0]))
        wanted = dict.fromkeys((key for key, _ in members), (None, None))
        for cluster in (False, True):
            before = [row for row in kept if (row[1][0] > 0) == cluster]
            ours = [row for row in members if (row[1][0] > 0) == cluster]
            pool = [*before, *ours]
            keeper, similarity = by_hand(np.array([vector for _, vector in pool]), len(before), 0.9)
            for place, (key, _) in enumerate(pool[len(before) :], len(before)):
                if keeper[place] >= 0:
                    wanted[key] = (pool[keeper[place]][0], np.float32(similarity[place]))
        assert rows_of(corpus, crawl) == wanted
        kept += [row for row in members if wanted[row[0]][0] is None]
        counts = lineage.semantic(corpus, crawl).finished()["counts"]
        lost = sum(keeper is not None for keeper, _ in wanted.values())
        assert 5 < lost < len(wanted) - 5
        assert counts == {"read": len(wanted), "kept": len(wanted) - lost, "dropped": {"semantic_duplicate": lost}}


CHOICES = ("ingest.part_rows=60", "ingest.part_rows=7 engine.memory_bytes=1000")


@pytest.mark.parametrize("changes", [*CHOICES, pytest.param("engine.workers=2", marks=pytest.mark.slow)])
def test_neither_files_nor_memory_nor_workers_matter(run: Callable[..., Corpus], changes: str) -> None:
    vectors = clustered(200, 4)
    expected = rows_of(run({"c": [vectors]}, "semantic.threshold=0.9"), "c")
    lost = sum(keeper is not None for keeper, _ in expected.values())
    assert 50 < lost < 195
    assert rows_of(run({"c": [vectors]}, "semantic.threshold=0.9", *changes.split()), "c") == expected


@pytest.mark.parametrize("stage", ["embeddings", "verdicts", "duplicates"])
def test_rows_that_are_gone_neither_keep_nor_count(run: Callable[..., Corpus], stage: str) -> None:
    same = np.ones((3, WIDTH), np.float16)
    corpus = run({"old": [same], "new": [same]}, "semantic.threshold=0.9", dropped=stage)
    first = {crawl: vectors_of(corpus, crawl)[0][0] for crawl in ("old", "new")}
    for crawl in ("old", "new"):
        rows = rows_of(corpus, crawl)
        assert rows[first[crawl]] == (None, None)
        assert not set(first.values()) & {keeper for keeper, _ in rows.values()}
    assert sum(keeper is not None for keeper, _ in rows_of(corpus, "old").values()) == 1
    assert sum(keeper is not None for keeper, _ in rows_of(corpus, "new").values()) == 2
    counts = lineage.semantic(corpus, "new").finished()["counts"]
    assert counts["read"] == (3 if stage == "embeddings" else 2)  # what is not embedded stays, unseen
    assert counts["kept"] == counts["read"] - 2


def test_it_is_off_by_default_and_rows_without_a_cluster_take_no_part(run: Callable[..., Corpus]) -> None:
    same = np.ones((6, WIDTH), np.float16)
    for corpus in (run({"c": [same]}), run({"c": [same]}, "semantic.threshold=0.5", cluster=-1)):
        assert set(rows_of(corpus, "c").values()) == {(None, None)}


def test_a_later_crawl_changes_nothing_of_an_earlier_one(run: Callable[..., Corpus]) -> None:
    chance = random.Random(3)
    vectors = clustered(90, chance.randrange(99))
    alone = run({"old": [vectors]}, "semantic.threshold=0.9")
    both = run({"old": [vectors], "new": [vectors]}, "semantic.threshold=0.9")
    contents = [lineage.semantic(corpus, "old").finished()["content"] for corpus in (alone, both)]
    assert contents[0] == contents[1]
    kept = {key for key, (keeper, _) in rows_of(both, "old").items() if keeper is None}
    assert {keeper for keeper, _ in rows_of(both, "new").values()} <= kept
