"""Fine clusters, pruning and merging, against brute force, scipy's own answers and hand-made cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.errors import InputError
from pipelines.vectors import cluster


def blobs(num_rows: int, num_blobs: int, dimensions: int = 16, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors float16 around well separated directions, and which direction each is of."""
    generator = np.random.default_rng(seed)
    middles = generator.standard_normal((num_blobs, dimensions)) * 3
    of = generator.integers(num_blobs, size=num_rows)
    vectors = middles[of] + 0.05 * generator.standard_normal((num_rows, dimensions))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16), of


def brute_force(vectors: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    apart = vectors[:, None, :].astype(np.float64) - centroids[None].astype(np.float64)
    distances = np.sqrt((apart**2).sum(axis=2))
    return distances.argmin(axis=1), distances.min(axis=1)


@pytest.fixture(params=["faiss", "scikit-learn"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "faiss":
        pytest.importorskip("faiss")
    monkeypatch.setattr(cluster, "kmeans_library", lambda: request.param)
    return str(request.param)


def test_well_separated_groups_are_found(library: str) -> None:
    vectors, of = blobs(2000, 8)
    centroids = cluster.fit_centroids(vectors, k=24, iterations=25, seed=1)
    found, _ = cluster.assign(vectors, centroids)
    for one in range(len(centroids)):
        assert len(set(of[found == one])) == 1, "a fine cluster mixes two groups"


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(library: str) -> None:
    vectors = np.random.default_rng(3).standard_normal((1200, 8)).astype(np.float32)
    first, again, other = (cluster.fit_centroids(vectors, k=20, iterations=8, seed=s) for s in (5, 5, 6))
    assert first.tobytes() == again.tobytes()
    assert first.tobytes() != other.tobytes()


def test_threads_change_no_byte_of_the_centroids() -> None:
    faiss = pytest.importorskip("faiss")
    vectors = np.random.default_rng(4).standard_normal((5000, 64)).astype(np.float32)
    before = faiss.omp_get_max_threads()
    found = []
    try:
        for threads in (1, 2):
            faiss.omp_set_num_threads(threads)
            found.append(cluster.fit_centroids(vectors, k=100, iterations=5, seed=5).tobytes())
    finally:
        faiss.omp_set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize(("rows", "k", "expected"), [(10, 5, 1), (40, 5, 2), (99, 5, 4), (100, 5, 5), (5000, 5, 5)])
def test_k_leaves_twenty_rows_to_a_cluster(library: str, rows: int, k: int, expected: int) -> None:
    vectors = np.random.default_rng(rows).standard_normal((rows, 8)).astype(np.float32)
    assert cluster.num_clusters(k, rows) == expected
    assert cluster.fit_centroids(vectors, k=k, iterations=5, seed=1).shape == (expected, 8)


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_no_centroid_is_left_without_vectors(library: str) -> None:
    vectors = np.repeat(np.eye(4, dtype=np.float32), 50, axis=0)  # four different rows, ten centroids asked for
    centroids = cluster.fit_centroids(vectors, k=10, iterations=5, seed=1)
    counts = np.bincount(cluster.assign(vectors, centroids)[0], minlength=len(centroids))
    assert (counts > 0).all()
    assert np.isfinite(centroids).all()


@pytest.mark.parametrize("vectors", [np.zeros((0, 4), np.float16), np.array([[1, np.nan]] * 50, np.float16)])
def test_vectors_that_cannot_be_clustered_are_refused(vectors: np.ndarray) -> None:
    with pytest.raises(InputError, match="vectors"):
        cluster.fit_centroids(vectors, k=2, iterations=1, seed=1)


def test_assignment_is_that_of_brute_force() -> None:
    vectors, _ = blobs(700, 5)
    centroids = np.random.default_rng(2).standard_normal((40, 16)).astype(np.float32)
    found, distances = cluster.assign(vectors, centroids)
    expected, expected_distances = brute_force(vectors, centroids)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-6)
    assert (found.dtype, distances.dtype) == (np.int32, np.float32)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 7))
def test_assignment_is_exact_where_float32_cannot_tell(seed: int, rows: int, k: int) -> None:
    """Far from the origin the rounding of |c|^2 - 2xc exceeds the differences between the distances."""
    generator = np.random.default_rng(seed)
    centroids = (1000 + generator.integers(0, 3, (k, 6)) / 8).astype(np.float32)
    vectors = (1000 + generator.integers(0, 3, (rows, 6)) / 8).astype(np.float32)
    np.testing.assert_array_equal(cluster.assign(vectors, centroids)[0], brute_force(vectors, centroids)[0])


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_the_block_changes_no_bit(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    vectors, _ = blobs(500, 5)
    centroids = vectors[:50].astype(np.float32)  # each of them at distance 0 of a row, some of them close by
    whole = cluster.assign(vectors, centroids)
    monkeypatch.setattr(cluster, "BLOCK_ROWS", block)
    parts = cluster.assign(vectors, centroids)
    assert [part.tobytes() for part in parts] == [one.tobytes() for one in whole]


def test_equal_distances_go_to_the_smaller_number() -> None:
    centroids = np.array([[1, 0], [-1, 0], [1, 0]], dtype=np.float32)
    found, distances = cluster.assign(np.array([[0, 2], [5, 0]], dtype=np.float32), centroids)
    assert found.tolist() == [0, 0]
    assert distances.tolist() == [np.float32(np.sqrt(5)), 4.0]


def test_mean_scores_ignore_what_has_no_cluster_or_no_score() -> None:
    clusters = np.array([0, 0, 2, -1, 2], dtype=np.int32)
    scores = np.array([[1, 5], [2, 5], [3, np.nan], [9, 9], [4, 1]], dtype=np.float32)
    means = cluster.scores_by_cluster([(clusters, scores)], k=4)
    np.testing.assert_array_equal(means, [[1.5, 5], [np.nan, np.nan], [3.5, 1], [np.nan, np.nan]])


def test_the_order_of_parts_changes_no_bit_of_the_scores() -> None:
    generator = np.random.default_rng(8)
    parts = [
        (generator.integers(-1, 5, 100).astype(np.int32), generator.random(100, dtype=np.float32)) for _ in range(9)
    ]
    forward = cluster.scores_by_cluster(parts, k=5)
    assert forward.tobytes() == cluster.scores_by_cluster(parts[::-1], k=5).tobytes()
    joined = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    expected = [joined[1][joined[0] == one].mean(dtype=np.float64) for one in range(5)]
    np.testing.assert_allclose(forward[:, 0], expected, atol=1e-7)


def test_pruning_asks_every_score_and_knows_one_threshold_each() -> None:
    scores = np.array([[3.0, 3.0], [3.0, 2.9], [np.nan, 5.0], [2.0, 1.0]])
    assert cluster.prune(scores, 3.0).tolist() == [True, False, False, False]
    assert cluster.prune(scores, [2.0, 1.0]).tolist() == [True, True, False, True]
    assert cluster.prune(np.array([0.5, 0.4]), 0.5).tolist() == [True, False]


def test_merged_clusters_are_numbered_by_size() -> None:
    """Three tight groups on a line, one pruned member; the middle group is the heaviest."""
    centroids = np.array([[0.0], [10.0], [0.1], [20.0], [10.1], [20.1], [55.0]], dtype=np.float32)
    kept = np.array([True] * 6 + [False])
    weights = np.array([1, 50, 1, 20, 50, 1, 999])
    merged = cluster.merge(centroids, kept, how="count", k=3, distance=0.0, weights=weights)
    assert merged.tolist() == [2, 0, 2, 1, 0, 1, -1]
    by_distance = cluster.merge(centroids, kept, how="distance", k=1, distance=1.0, weights=weights)
    assert by_distance.tolist() == merged.tolist()


def test_equal_sizes_keep_the_order_of_their_first_fine_cluster() -> None:
    centroids = np.array([[30.0], [0.0], [10.0]], dtype=np.float32)
    merged = cluster.merge(centroids, np.ones(3, bool), how="count", k=3, distance=0.0, weights=np.array([7, 7, 7]))
    assert merged.tolist() == [0, 1, 2]


def test_merging_is_wards_and_the_heights_say_where_to_cut() -> None:
    from sklearn.cluster import AgglomerativeClustering
    from sklearn.metrics import adjusted_rand_score

    centroids = np.random.default_rng(5).standard_normal((60, 4)).astype(np.float32)
    kept = np.random.default_rng(6).random(60) < 0.8
    weights = np.arange(60)
    merged = cluster.merge(centroids, kept, how="count", k=7, distance=0.0, weights=weights)
    expected = AgglomerativeClustering(7, linkage="ward").fit_predict(centroids[kept].astype(np.float64))
    assert adjusted_rand_score(expected, merged[kept]) == 1.0
    assert (merged[~kept] == -1).all()
    sizes = [weights[merged == one].sum() for one in range(7)]
    assert sizes == sorted(sizes, reverse=True)
    heights = cluster.ward_heights(centroids, kept)
    between = (heights[-7] + heights[-6]) / 2
    assert (cluster.merge(centroids, kept, how="distance", k=2, distance=between, weights=weights) == merged).all()


def test_one_cluster_is_enough_and_none_is_an_error() -> None:
    centroids = np.eye(3, dtype=np.float32)
    alone = cluster.merge(
        centroids, np.array([False, True, False]), how="distance", k=2, distance=1.0, weights=np.ones(3)
    )
    assert alone.tolist() == [-1, 0, -1]
    with pytest.raises(InputError, match="min_score"):
        cluster.merge(centroids, np.zeros(3, bool), how="count", k=2, distance=1.0, weights=np.ones(3))
