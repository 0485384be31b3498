"""Tiers of quality: clusters cut by their documents' scores into the buckets that a mixture has weights for."""

from dataclasses import replace
from pathlib import Path

import made_corpus
import numpy as np
import pyarrow as pa
import pytest
from made_fasttext import write_fasttext
from made_searches import Planted, searched
from pydantic import ValidationError

from mixer import inspection
from mixer import lineage as mixing
from mixer.export.draw import pooled
from mixer.export.verify import verify
from mixer.report import gathered
from mixer.report.page import html
from mixer.topics import target_of
from pipelines import lineage
from pipelines.buckets import MIN_DOCUMENTS, Buckets, cut, fitted, placed
from pipelines.clusters import read_buckets, read_clusters
from pipelines.corpus import Corpus, opened
from pipelines.errors import InputError
from pipelines.fitting import kept_parts
from pipelines.pooling import open_pool, read_evaluations, read_fine_evaluations
from pipelines.settings import Clusters, Settings
from pipelines.store import Workspace

MERGED = np.array([0, 1, -1, 0], np.int32)  # of four fine clusters; the third is pruned


def parts_of(fine: np.ndarray, scores: np.ndarray, pieces: int = 1) -> list[pa.Table]:
    table = pa.table({"fine": pa.array(fine, pa.int32()), "score": pa.array(scores, pa.float32())})
    step = -(-table.num_rows // pieces)
    return [table.slice(first, step) for first in range(0, table.num_rows, step)]


# ---------------------------------------------------------------------------------------------------------
# Cutting


@pytest.mark.parametrize("quantiles", [(0.5,), (0.25, 0.5, 0.75), (0.5, 0.9)])
def test_tiers_hold_the_shares_that_were_asked_for(quantiles: tuple[float, ...]) -> None:
    scores = np.random.default_rng(0).random(1000).astype(np.float32)
    starts = cut(scores, quantiles)
    sizes = np.diff([0, *(int((scores < start).sum()) for start in starts), 1000])
    assert sizes.tolist() == pytest.approx(np.diff([0, *quantiles, 1]) * 1000)


def test_equal_scores_stay_together_in_the_upper_tier() -> None:
    scores = np.repeat(np.array([0.2, 0.7], np.float32), [40, 60])
    assert cut(scores, (0.5,)) == pytest.approx([0.7])
    assert cut(np.full(100, 0.4, np.float32), (0.5,)).tolist() == [np.inf]


def test_a_tiers_number_says_at_which_quantile_it_begins() -> None:
    few = np.repeat(np.array([0.2, 0.7], np.float32), [10, 140])  # its lowest half is less than a tier
    few[-30:] = 0.9
    scores = np.concatenate([np.linspace(0, 1, 400, dtype=np.float32), few])
    fine = np.repeat(np.array([0, 1], np.int32), [400, 150])
    buckets = fitted(np.array([0, 1], np.int32), parts_of(fine, scores), (0.5, 0.85))
    assert buckets.clusters.tolist() == [0, 0, 0, 1, 1]
    assert buckets.tiers.tolist() == [1, 2, 3, 1, 3]
    assert buckets.from_scores[3:].tolist() == pytest.approx([-np.inf, 0.9])
    assert np.bincount(buckets.numbers(fine, scores)).tolist() == [200, 140, 60, 120, 30]


def test_no_tier_is_smaller_than_its_least() -> None:
    chance = np.random.default_rng(1)
    for size in (0, 1, MIN_DOCUMENTS, 2 * MIN_DOCUMENTS - 1, 2 * MIN_DOCUMENTS, 150):
        scores = np.round(chance.random(size), 2).astype(np.float32)
        starts = cut(scores, (0.1, 0.3, 0.5, 0.9))
        starts = starts[np.isfinite(starts)]
        counts = np.bincount(np.searchsorted(starts, scores, side="right"), minlength=len(starts) + 1)
        assert len(starts) == 0 or counts.min() >= MIN_DOCUMENTS
        assert size < 2 * MIN_DOCUMENTS or len(starts)


def test_documents_without_a_score_are_in_the_lowest_tier() -> None:
    fine = np.zeros(100, np.int32)
    scores = np.concatenate([np.full(30, np.nan), np.linspace(0, 1, 70)]).astype(np.float32)
    buckets = fitted(np.zeros(1, np.int32), parts_of(fine, scores), (0.5,))
    assert buckets.numbers(fine, scores)[:30].tolist() == [0] * 30
    assert np.bincount(buckets.numbers(fine, scores)).tolist() == [65, 35]


def test_buckets_do_not_depend_on_how_parts_are_cut_and_lie() -> None:
    chance = np.random.default_rng(2)
    fine, scores = chance.integers(-1, 4, 600).astype(np.int32), chance.random(600).astype(np.float32)
    whole = fitted(MERGED, parts_of(fine, scores), (0.5, 0.9))
    shuffled = fitted(MERGED, parts_of(fine, scores, 7)[::-1], (0.5, 0.9))
    assert np.array_equal(whole.starts, shuffled.starts)
    numbers = whole.numbers(fine, scores)
    assert np.array_equal(numbers, np.concatenate([whole.numbers(fine[:9], scores[:9]), numbers[9:]]))
    inside = numbers >= 0
    assert np.array_equal(inside, (fine >= 0) & (fine != 2))
    assert np.array_equal(whole.clusters[numbers[inside]], MERGED[fine[inside]])
    assert (scores[inside] >= whole.from_scores[numbers[inside]]).all()
    assert whole.clusters.tolist() == [0, 0, 0, 1, 1]
    assert whole.tiers.tolist() == [1, 2, 3, 1, 2]


def test_without_tiers_a_bucket_is_a_cluster() -> None:
    buckets = Buckets.of_clusters(MERGED)
    fine = np.array([3, -1, 2, 1])
    assert buckets.numbers(fine, np.full(4, np.nan)).tolist() == [0, -1, -1, 1]
    assert buckets.shared_out([1, 2, 4, 8], [5, 5]).tolist() == [9, 2]


def test_what_is_known_of_clusters_says_nothing_of_tiers() -> None:
    buckets = Buckets(MERGED, np.array([[0.5], [np.inf]], np.float32))
    found = buckets.shared_out([1, 2, 4, 8], [300, 100, 70])
    assert found.tolist() == pytest.approx([6.75, 2.25, 2])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tiers": (0.9, 0.5)}, "each above the one before it"),
        ({"tiers": (0.5, 0.5)}, "each above the one before it"),
        ({"tiers": (0.0, 0.5)}, "between 0 and 1"),
        ({"tier_score": "edu"}, "needs clusters.tiers"),
    ],
)
def test_settings_that_cut_nothing_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Clusters(**given)


def test_the_score_that_tiers_go_by_is_one_there_is() -> None:
    with pytest.raises(ValidationError, match=r"clusters\.tier_score = 'edu' is none of the scores: there are none"):
        Settings(clusters=Clusters(tiers=(0.5,), tier_score="edu"))


# ---------------------------------------------------------------------------------------------------------
# Through the whole job


def written_score(path: Path) -> tuple[str, ...]:
    """Settings of two tiers by a classifier; its column is named like one of the documents'."""
    words = sorted({word for row in made_corpus.vocabulary() for word in row["text"].lower().split()})
    weights = np.random.default_rng(3).normal(size=(len(words), 2))
    write_fasttext(path, words, ["__label__hq", "__label__lq"], weights)
    score = f'scores=[{{name="text", path="{path}", label="hq"}}]'
    return (score, "clusters.tiers=[0.5]", 'clusters.tier_score="text"')


@pytest.fixture(scope="module")
def tiered(crawl_files: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Both crawls up to the dataset, in two tiers."""
    folder = tmp_path_factory.mktemp("tiers")
    score = written_score(folder / "edu.bin")
    made = made_corpus.make(
        folder / "ws",
        crawl_files,
        encoder,
        names=("crawl-1", "crawl-2"),
        changes=(*score, "clusters.k=2"),
    )
    made_corpus.run_corpus(made)
    with pytest.MonkeyPatch.context() as patch:
        searched(made, Planted(), patch, until="dataset")
    return made


def test_every_document_is_in_the_tier_of_its_score(tiered: Corpus) -> None:
    buckets, table = read_buckets(tiered), read_clusters(tiered)
    assert table.num_rows == len(buckets.clusters) > len(buckets.starts)
    sizes, tokens = np.zeros(table.num_rows, int), np.zeros(table.num_rows, int)
    for rows in kept_parts(tiered, ["crawl-1", "crawl-2"], {"tokens": ("num_tokens",)}, beside=placed):
        numbers = buckets.numbers(np.asarray(rows["fine"]), np.asarray(rows["score"]))
        inside = numbers >= 0
        scores = np.asarray(rows["score"])[inside]
        assert np.isfinite(scores).all()
        assert (scores >= buckets.from_scores[numbers[inside]]).all()
        last = buckets.tiers[numbers[inside]] == np.bincount(buckets.clusters)[buckets.clusters[numbers[inside]]]
        above = buckets.from_scores[np.minimum(numbers[inside] + 1, table.num_rows - 1)]
        assert (last | (scores < above)).all()
        np.add.at(sizes, numbers[inside], 1)
        np.add.at(tokens, numbers[inside], np.asarray(rows["num_tokens"])[inside])
    assert sizes.tolist() == table["documents"].to_pylist()
    assert tokens.tolist() == table["tokens"].to_pylist()
    pool = open_pool(tiered)
    assert (pool.num_tokens["train"] + pool.num_tokens["validation"]).tolist() == tokens.tolist()
    names = table["name"].to_pylist()
    assert len(set(names)) == len(names)
    for one in np.flatnonzero(buckets.tiers == 2).tolist():
        assert [name.rsplit(" ", 1) for name in names[one - 1 : one + 1]] == [
            [names[one][:-3], "q1"],
            [names[one][:-3], "q2"],
        ]
        assert table["score"][one].as_py() > table["score"][one - 1].as_py()
        assert table["terms"][one] == table["terms"][one - 1]


def test_tiers_are_cut_on_the_fit_crawls_alone(tiered: Corpus) -> None:
    alone = list(kept_parts(tiered, ["crawl-1"], {}, beside=placed))
    buckets = read_buckets(tiered)
    assert np.array_equal(fitted(buckets.merged, alone, (0.5,)).starts, buckets.starts)
    unknown = [np.isnan(np.asarray(rows["score"])) & (np.asarray(rows["fine"]) >= 0) for rows in alone]
    counts = lineage.clusters(tiered).finished()["counts"]
    assert counts["without_score"] == sum(int(mask.sum()) for mask in unknown)


def test_a_targets_documents_are_shared_out_over_tiers_by_tokens(tiered: Corpus) -> None:
    buckets, table = read_buckets(tiered), read_clusters(tiered)
    _, counts = read_evaluations(tiered)
    for name, fine in read_fine_evaluations(tiered).items():
        by_cluster = np.bincount(buckets.clusters, counts[name])
        assert by_cluster.tolist() == pytest.approx(Buckets.of_clusters(buckets.merged).shared_out(fine, []).tolist())
    tokens = np.asarray(table["tokens"], np.float64)
    natural = tokens / np.bincount(buckets.clusters, tokens)[buckets.clusters]
    stars = np.bincount(buckets.clusters, counts["stars"])[buckets.clusters]
    assert counts["stars"] == pytest.approx((stars * natural).tolist())
    assert target_of(tiered).composition.shape == (len(buckets.merged), table.num_rows)


def test_a_dataset_of_tiers_says_so_and_is_whole(tiered: Corpus) -> None:
    stage = mixing.dataset(tiered)
    assert verify(tiered.workspace.local(*stage.steps)) == []
    manifest = tiered.workspace.read_json(*stage.steps, "manifest.json")
    assert [cluster["name"] for cluster in manifest["clusters"]] == read_clusters(tiered)["name"].to_pylist()
    assert manifest["models"]["tiers_of_quality"] == "text"
    candidates = pooled(tiered)
    assert np.bincount(candidates.clusters).tolist() == read_clusters(tiered)["documents"].to_pylist()


def test_the_report_adds_up_the_tiers(tiered: Corpus) -> None:
    told = gathered.gathered(tiered)
    page = html(told)
    assert "Tiers of quality" in page
    assert "q2, of" in page
    assert [cluster["tier"] for cluster in told["clusters"]] == read_buckets(tiered).tiers.tolist()
    assert all(cluster["examples"] for cluster in told["clusters"])


def test_a_trace_names_the_tier(tiered: Corpus) -> None:
    names = read_clusters(tiered)["name"].to_pylist()
    rows = next(kept_parts(tiered, ["crawl-2"], {"documents": ("url",)}, beside=placed))
    inside = np.flatnonzero(np.asarray(rows["fine"]) >= 0)[:5]
    for row in rows.take(inside).to_pylist():
        told = dict(inspection.trace(tiered, row["id"].hex()))["fine_clusters"]
        number = int(told.split("cluster ")[-1].split(":")[0])
        score = row["score"]
        assert names[number] in told
        assert f"score {score:.3f}" in told
        assert read_buckets(tiered).numbers(np.array([row["fine"]]), np.array([score])).tolist() == [number]


def test_other_tiers_make_other_pools_and_leave_what_is_before(tiered: Corpus) -> None:
    before = {name: getattr(lineage, name)(tiered, "crawl-1").label for name in ("scores", "tokens", "fine_clusters")}
    pools, clusters = lineage.pools(tiered).label, lineage.clusters(tiered).label
    cut = tiered.settings.clusters.model_copy(update={"tiers": (0.4,)})
    other = replace(tiered, settings=tiered.settings.model_copy(update={"clusters": cut}))
    assert lineage.clusters(other).label != clusters
    assert {name: getattr(lineage, name)(other, "crawl-1").label for name in before} == before
    made_corpus.run_corpus(other, until="pools")
    assert lineage.pools(other).label != pools


def test_tiers_of_domains(tmp_path: Path) -> None:
    from test_domains import DOMAINS, domains_command, write_domains, write_target

    target = write_target(tmp_path / "sky.jsonl", "astronomy")
    domains_command(write_domains(tmp_path / "in"), tmp_path / "ws", target, *written_score(tmp_path / "edu.bin"))
    corpus = opened(Workspace(str(tmp_path / "ws")))
    buckets, pool = read_buckets(corpus), open_pool(corpus)
    assert pool.num_buckets == len(buckets.clusters) > len(buckets.starts) == 4
    assert {name.split(" q")[0] for name in read_clusters(corpus)["name"].to_pylist()} == set(DOMAINS)
    _, counts = read_evaluations(corpus)
    assert np.argmax(np.bincount(buckets.clusters, counts["sky"])) == 0  # astronomy


def test_a_score_that_tells_no_documents_apart_is_an_error(fresh) -> None:
    corpus = fresh(changes=("clusters.tiers=[0.5]",))  # all of it is prose, which the signals give nearly 1
    with pytest.raises(InputError, match=r"cuts none of 4 clusters.*clusters\.tier_score = ''"):
        made_corpus.run_corpus(corpus, until="clusters")


def test_a_trace_of_domains_before_the_tiers_score_is_there(tmp_path: Path) -> None:
    from test_domains import domains_command, write_domains, write_target

    target = write_target(tmp_path / "sky.jsonl", "astronomy")
    domains_command(write_domains(tmp_path / "in"), tmp_path / "ws", target)
    corpus = opened(Workspace(str(tmp_path / "ws")))
    wanted = next(kept_parts(corpus, [corpus.crawls[0].name], {}, beside=placed))["id"][0].as_py().hex()
    cut = made_corpus.changed(corpus, *written_score(tmp_path / "edu.bin"))
    told = dict(inspection.trace(cut, wanted))
    assert told["scores"] == "not there yet"
    assert told["fine_clusters"] == dict(inspection.trace(corpus, wanted))["fine_clusters"].partition(",")[0]
