"""What a target is made of: topics that clusters share, of which Domain2Vec makes a mixture."""

import numpy as np
import pytest
from made_corpus import changed
from made_searches import copied

from mixer import topics
from mixer.searches import search_of
from mixer.strategies import rules
from mixer.strategies.domain2vec import aligned
from mixer.strategies.reuse import Groups
from mixer.topics import by_cluster, memberships, shared_out, target_of
from pipelines.clusters import read_buckets, read_fine_documents
from pipelines.pooling import read_evaluations, read_fine_evaluations


def test_memberships_are_soft_and_sum_to_one() -> None:
    shares = memberships(np.array([[1.0, 0.0], [10.0, 1.0]]), np.eye(2))
    assert shares.sum(axis=1) == pytest.approx([1, 1])
    assert 0.99 < shares[:, 0].mean() < 1


def test_clusters_are_of_their_fine_ones_by_documents() -> None:
    found = by_cluster(np.array([1.0, 3.0, 5.0, 0.0, 0.0]), np.array([0, 0, -1, 1, 1]))
    assert found[:, 0].tolist() == [0.25, 0.75, 0, 0, 0]
    assert found[:, 1].tolist() == [0, 0, 0, 0.5, 0.5]


def test_topics_are_counted_alike_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    counts, centroids = random.dirichlet(np.ones(23), 4).T, random.normal(size=(23, 5))
    whole = shared_out(counts, centroids)
    assert whole.sum(axis=0) == pytest.approx(np.ones(4))
    assert whole == pytest.approx(memberships(centroids, centroids).T @ counts)
    monkeypatch.setattr(topics, "BLOCK_ROWS", 7)
    assert shared_out(counts, centroids) == pytest.approx(whole)


def test_topics_that_are_nested_in_clusters_would_see_nothing_across_them() -> None:
    """A target between two clusters, in a pruned part of the space: hard counts lose it, soft ones share it out."""
    centroids = np.array([[1.0, 0.1, 0], [1.0, -0.1, 0], [0, 1.0, 0.1], [0, 1.0, -0.1], [0, 0, 1.0]])
    merged, wanted = np.array([0, 0, 1, -1, 2]), np.array([0.0, 0.0, 0.0, 1.0, 0.0])  # all in the pruned one
    hard = by_cluster(np.ones(5), merged)
    space = rules.Space.free(np.ones(3))
    lost, found = (
        aligned(space, composition, of_target)
        for composition, of_target in (
            (hard, wanted),
            (shared_out(hard, centroids), shared_out(wanted[:, np.newaxis], centroids)[:, 0]),
        )
    )
    assert found[1] > 0.95
    assert lost[1] == pytest.approx(1 / 3, abs=0.1)


def test_the_target_of_a_corpus(built) -> None:
    """Shares over all fine clusters, whatever clusters were pruned; the built crawl's topics are far apart."""
    target = target_of(built)
    merged = read_buckets(built).merged
    assert target.counts.tolist() == read_evaluations(built)[1]["stars"]
    assert target.composition.shape == (len(merged), merged.max() + 1)
    assert target.composition.sum(axis=0) == pytest.approx(np.ones(merged.max() + 1))
    assert target.wanted.sum() == pytest.approx(1)
    assert (target.composition > 0).sum() > np.count_nonzero(merged >= 0)  # not nested
    assert len(read_fine_documents(built)) == len(read_fine_evaluations(built)["stars"]) == len(merged)
    search = search_of(built, built.workspace.local("nowhere"))
    found = rules.all_of(search.space, target)
    assert np.argmax(found["domain2vec"]) == np.argmax(found["nearest"]) == np.argmax(target.counts)


def test_several_parts_are_served_by_weight(built, tmp_path) -> None:
    corpus = copied(built, tmp_path)
    alone = target_of(corpus)
    both = target_of(changed(corpus, 'search.objectives={"stars"=3, "cluster/001"=1}', "search.objective=''"))
    assert both.wanted == pytest.approx(0.75 * alone.wanted + 0.25 * alone.composition[:, 1])


def test_frozen_groups_keep_the_topics(built) -> None:
    target = target_of(built)
    num = target.composition.shape[1]
    inner = np.array([0.3, 0.7])
    groups = Groups.of(num, [((0, 2), inner)])
    found = groups.target(target)
    assert found.wanted is target.wanted
    assert found.composition[:, 0] == pytest.approx(target.composition[:, [0, 2]] @ inner)
