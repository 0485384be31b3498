"""Selection: budget, caps, whole documents, and an order that depends on ids and seed alone."""

import gzip
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.export.selection import MAX_DISPLACED, Selection, allotted, select, unseen


def ids_of(num: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (num, 16), dtype=np.uint8)


@st.composite
def problems(draw: st.DrawFn) -> dict:
    num = draw(st.integers(0, 60))
    size = draw(st.integers(1, 5))
    return {
        "ids": ids_of(num, draw(st.integers(0, 2**32))),
        "clusters": np.array(draw(st.lists(st.integers(0, size - 1), min_size=num, max_size=num)), dtype=np.int32),
        "num_tokens": np.array(draw(st.lists(st.integers(0, 50), min_size=num, max_size=num)), dtype=np.int32),
        "weights": draw(st.lists(st.floats(0, 1).map(lambda w: round(w, 3)), min_size=size, max_size=size).filter(any)),
        "budget": draw(st.integers(0, 4000)),
        "max_epochs": draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 4.0, 15.0])),
        "seed": draw(st.integers(0, 2**40)),
    }


def drawn(selection: Selection, ids: np.ndarray) -> list[tuple[bytes, int]]:
    return [(ids[row].tobytes(), int(copy)) for row, copy in zip(selection.rows, selection.copies, strict=True)]


@settings(max_examples=300, deadline=None)
@given(problems())
def test_budget_and_caps_hold_and_the_report_is_what_was_drawn(problem: dict) -> None:
    selection = select(**problem)
    report = selection.report
    tokens, clusters = problem["num_tokens"], problem["clusters"]
    assert report.tokens == tokens[selection.rows].sum() <= report.budget
    if problem["budget"]:
        assert report.budget == problem["budget"]
    assert report.budget <= max(problem["budget"], tokens.sum())
    assert report.draws == len(selection.rows)
    assert report.documents == len(set(selection.rows.tolist()))
    for cluster in report.clusters:
        rows = selection.rows[clusters[selection.rows] == cluster.cluster]
        pool = tokens[clusters == cluster.cluster].sum()
        assert cluster.tokens == tokens[rows].sum() <= math.floor(problem["max_epochs"] * pool)
        assert (cluster.draws, cluster.documents) == (len(rows), len(set(rows.tolist())))
        assert cluster.epochs == (cluster.tokens / pool if pool else 0)
        assert cluster.weight_requested > 0 or cluster.draws == 0
    if report.tokens:
        assert math.fsum(c.weight for c in report.clusters) == pytest.approx(1)


@settings(max_examples=300, deadline=None)
@given(problems())
def test_every_cluster_is_within_one_document_of_its_share(problem: dict) -> None:
    report = select(**problem).report
    tokens, clusters = problem["num_tokens"], problem["clusters"]
    pools = [int(tokens[clusters == k].sum()) for k in range(len(problem["weights"]))]
    targets = poured([c.weight_requested for c in report.clusters], pools, problem["max_epochs"], report.budget)
    for cluster, target in zip(report.clusters, targets, strict=True):
        largest = int(tokens[clusters == cluster.cluster].max(initial=0))
        assert abs(cluster.tokens - target) <= largest + 1


def poured(shares: list[float], pools: list[int], max_epochs: float, budget: int) -> list[float]:
    """Water-filling again, by bisection on the level: targets are min(cap, level x share)."""
    caps = [math.floor(max_epochs * pool) for pool in pools]
    low, high = 0.0, 1e9
    for _ in range(200):
        level = (low + high) / 2
        total = sum(min(cap, level * share) for cap, share in zip(caps, shares, strict=True))
        low, high = (level, high) if total < budget else (low, level)
    return [min(cap, low * share) for cap, share in zip(caps, shares, strict=True)]


@settings(max_examples=200, deadline=None)
@given(problems())
def test_no_document_is_taken_twice_before_all_were_taken_once(problem: dict) -> None:
    selection = select(**problem)
    counts = np.bincount(selection.rows, minlength=len(problem["ids"]))
    for cluster in range(len(problem["weights"])):
        held = counts[problem["clusters"] == cluster]
        assert held.max(initial=0) - held.min(initial=held.max(initial=0)) <= 1
        assert held.max(initial=0) <= math.ceil(problem["max_epochs"])
    for row in np.unique(selection.rows):
        copies = np.sort(selection.copies[selection.rows == row])
        assert copies.tolist() == list(range(len(copies)))


@settings(max_examples=200, deadline=None)
@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_the_input_does_not_matter(problem: dict, random) -> None:
    order = list(range(len(problem["ids"])))
    random.shuffle(order)
    other = problem | {key: problem[key][order] for key in ("ids", "clusters", "num_tokens")}
    first, second = select(**problem), select(**other)
    assert drawn(first, problem["ids"]) == drawn(second, other["ids"])
    assert first.report == second.report
    assert (first.keys == second.keys).all()
    assert (first.keys[1:] >= first.keys[:-1]).all()


def test_seed_changes_choice_and_order_and_nothing_else_does() -> None:
    ids, clusters, tokens = ids_of(1000), np.zeros(1000, np.int32), np.full(1000, 10)
    one, same, other = (
        select(ids, clusters, tokens, [1.0], budget=5000, max_epochs=1, seed=seed) for seed in (1, 1, 2)
    )
    assert (one.rows == same.rows).all()
    assert set(one.rows.tolist()) != set(other.rows.tolist())


def test_the_shuffle_is_independent_of_the_choice_and_mixes_clusters_and_copies() -> None:
    # The documents taken first in a smaller dataset must not stand at the front of a larger one.
    ids, clusters, tokens = ids_of(4000), np.repeat([0, 1], 2000), np.full(4000, 10)
    small = select(ids, clusters, tokens, [0.5, 0.5], budget=20_000, max_epochs=2, seed=3)
    large = select(ids, clusters, tokens, [0.5, 0.5], budget=80_000, max_epochs=2, seed=3)
    places = np.flatnonzero(np.isin(large.rows, small.rows)) / len(large.rows)
    assert places.mean() == pytest.approx(0.5, abs=0.03)
    half = len(large.rows) // 2
    assert clusters[large.rows[:half]].mean() == pytest.approx(0.5, abs=0.03)
    assert large.copies[:half].mean() == pytest.approx(0.5, abs=0.03)
    assert abs(np.corrcoef(large.rows[:-1], large.rows[1:])[0, 1]) < 0.05


def test_hand_computed_caps() -> None:
    # 100 tokens in each pool; shares 700/200/100 of 1000 with 4 epochs: 400 fits, 300 are poured 2:1.
    ids, clusters, tokens = ids_of(30), np.repeat([0, 1, 2], 10), np.full(30, 10)
    report = select(ids, clusters, tokens, [7, 2, 1], budget=1000, max_epochs=4, seed=0).report
    assert [c.tokens for c in report.clusters] == [400, 400, 200]
    assert [c.epochs for c in report.clusters] == [4, 4, 2]
    assert [c.capped for c in report.clusters] == [True, False, False]
    assert report.reached
    assert report.displaced == pytest.approx(0.3)
    short = select(ids, clusters, tokens, [7, 2, 1], budget=2000, max_epochs=4, seed=0).report
    assert (short.tokens, short.reached) == (1200, False)
    assert [c.capped for c in short.clusters] == [True, True, True]


def test_a_cluster_without_documents_gives_its_share_away() -> None:
    report = select(ids_of(10), np.zeros(10, int), np.full(10, 10), [0.5, 0.5], budget=60, max_epochs=4, seed=0).report
    assert [c.tokens for c in report.clusters] == [60, 0]
    assert [c.capped for c in report.clusters] == [False, True]


def test_budget_0_is_the_largest_that_keeps_the_mixture() -> None:
    ids, clusters, tokens = ids_of(1000), np.repeat([0, 1], [100, 900]), np.full(1000, 10)
    report = select(ids, clusters, tokens, [0.9, 0.1], budget=0, max_epochs=4, seed=0).report
    assert report.budget == math.floor(4000 / (0.9 - MAX_DISPLACED))
    assert report.displaced == pytest.approx(MAX_DISPLACED, abs=0.003)
    # Natural shares need no repetition: all of every pool, once.
    natural = select(ids, clusters, tokens, [0.1, 0.9], budget=0, max_epochs=4, seed=0).report
    assert (natural.tokens, natural.documents, natural.draws) == (10_000, 1000, 1000)
    assert not any(c.capped for c in natural.clusters)


def test_budget_0_is_not_held_down_by_a_cluster_of_no_weight() -> None:
    ids, clusters, tokens = ids_of(1001), np.repeat([0, 1], [1, 1000]), np.full(1001, 10)
    report = select(ids, clusters, tokens, [0.005, 0.995], budget=0, max_epochs=1, seed=0).report
    assert report.tokens > 9900


@settings(max_examples=200, deadline=None)
@given(problems())
def test_budget_0_displaces_little_and_no_larger_budget_would(problem: dict) -> None:
    report = select(**problem | {"budget": 0}).report
    served = [c.weight_requested if math.floor(problem["max_epochs"] * c.pool_tokens) else 0 for c in report.clusters]
    if not sum(served):
        assert report.tokens == 0
        return
    shares = [share / sum(served) for share in served]
    caps = [math.floor(problem["max_epochs"] * c.pool_tokens) for c in report.clusters]

    def displaced(budget: float) -> float:
        return sum(max(0.0, share - cap / budget) for share, cap in zip(shares, caps, strict=True))

    if report.budget:
        assert displaced(report.budget) <= MAX_DISPLACED + 1e-9
    pool = int(problem["num_tokens"].sum())
    assert report.budget == pool or displaced(report.budget + 1) > MAX_DISPLACED - 1e-9


def test_allotted_sums_to_the_budget_unless_all_are_capped() -> None:
    targets, capped = allotted([0.25, 0.25, 0.5], [10, 1000, 1000], 200)
    assert math.fsum(targets) == pytest.approx(200)
    assert targets == pytest.approx([10, 190 / 3, 380 / 3])
    assert capped == [True, False, False]


def test_rounding_to_the_nearest_document_uses_the_budget_up() -> None:
    # Twenty clusters always rounded down would leave half a document each, 1,000 tokens in all.
    random = np.random.default_rng(5)
    clusters, tokens = np.arange(4000) % 20, np.full(4000, 100)
    lacks = []
    for seed in range(30):
        weights = random.dirichlet(np.full(20, 5.0)).tolist()
        report = select(ids_of(4000), clusters, tokens, weights, budget=100_000, max_epochs=4, seed=seed).report
        lacks.append(report.budget - report.tokens)
    assert min(lacks) >= 0
    assert np.mean(lacks) < 250


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ids": np.zeros((2, 16), np.uint8)}, "an id stands twice"),
        (
            {
                "ids": ids_of(3)[[0, 1, 0]],
                "clusters": np.array([0, 1, 1]),
                "num_tokens": np.array([1, 1, 1]),
            },
            "an id stands twice",
        ),
        ({"ids": np.zeros((2, 8), np.uint8)}, r"uint8 \[n, 16\]"),
        ({"clusters": np.array([0, 2])}, "the mixture weighs 0 to 1"),
        ({"clusters": np.array([-1, 0])}, "the mixture weighs 0 to 1"),
        ({"num_tokens": np.array([1])}, "one each a row"),
        ({"num_tokens": np.array([1, -1])}, "no negative number"),
        ({"weights": [0.0, 0.0]}, "not all 0"),
        ({"weights": [float("nan"), 1.0]}, "finite"),
        ({"budget": -1}, "at least 0"),
        ({"max_epochs": 0.0}, "above 0"),
    ],
)
def test_arguments_that_no_stage_passes_are_refused(change: dict, said: str) -> None:
    given_: dict = {
        "ids": ids_of(2),
        "clusters": np.array([0, 1]),
        "num_tokens": np.array([1, 1]),
        "weights": [0.5, 0.5],
        "budget": 1,
        "max_epochs": 1.0,
        "seed": 0,
    }
    with pytest.raises(ValueError, match=said):
        select(**given_ | change)


def test_unseen_finds_what_training_holds() -> None:
    held = unseen(pa.array([b"a" * 16, b"b" * 16], pa.binary(16)), pa.array([b"b" * 16], pa.binary(16)))
    assert held.tolist() == [True, False]
    assert unseen(pa.array([], pa.binary(16)), pa.array([b"b" * 16], pa.binary(16))).tolist() == []


def test_real_domains_come_out_by_weight(shared: Path) -> None:
    lengths, clusters = [], []
    for cluster, name in enumerate(("docs_astronomy", "math_problems", "encyclopedia_en")):
        with gzip.open(shared / "domains" / f"{name}.jsonl.gz", "rt") as file:
            documents = [len(json.loads(line)["text"]) // 4 + 1 for line in file]
        lengths += documents
        clusters += [cluster] * len(documents)
    tokens = np.array(lengths)
    weights, budget = (0.2, 0.5, 0.3), 1_000_000
    report = select(
        ids_of(len(tokens)), np.array(clusters), tokens, weights, budget=budget, max_epochs=4, seed=1
    ).report
    assert report.reached
    assert budget - report.tokens < tokens.max()
    for cluster, weight in zip(report.clusters, weights, strict=True):
        largest = tokens[np.array(clusters) == cluster.cluster].max()
        assert abs(cluster.tokens - weight * budget) <= largest
