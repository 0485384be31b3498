"""Vectors to fine clusters, fine clusters to merged ones: k-means, scores, pruning, Ward linkage.

The road of CLIMB (Diao et al. 2025, section 3 and its official recipe): over-cluster, score each fine
cluster, drop the poor ones, join the rest by Ward linkage of their centroids. Which fine cluster a document
is in is decided exactly (ties to the smaller number), so that neither the block nor a BLAS decides it.
"""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, cast

import numpy as np
import numpy.typing as npt

from pipelines.errors import InputError

ROWS_PER_CLUSTER = 20  # k is lowered to n // 20: a mean of fewer vectors is mostly noise
BLOCK_ROWS = 4096  # rows whose distances are in memory at once: 4096 x 1000 float32 is 16 MB
SCORE_STEPS = 1 << 24  # scores are added as whole numbers of 2^-24, float32's own precision below 1

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]


# ---------------------------------------------------------------------------------------------------------
# Fine clusters


def num_clusters(k: int, num_rows: int) -> int:
    """k, or as many as leave about 20 rows each, and at least one."""
    return max(1, min(k, num_rows // ROWS_PER_CLUSTER))


def fit_centroids(
    vectors: npt.NDArray[np.floating], *, k: int, iterations: int, seed: int, device: str = "cpu"
) -> Floats:
    """float32 [k', d] k-means centroids of vectors [n, d], all of finite value; k' = num_clusters(k, n).

    By FAISS where it is installed (on the GPU with device `cuda` and a GPU build), else by scikit-learn; the
    two give other centroids, so the name of the one in use (`kmeans_library`) belongs into a digest. Both are
    deterministic for a seed. No centroid is empty: each is the nearest of at least one vector.
    """
    if not len(vectors):
        raise InputError("no vectors to cluster: no document of the fit crawls was kept and embedded")
    rows = np.ascontiguousarray(vectors, dtype=np.float32)
    if not np.isfinite(rows).all():
        raise InputError("vectors to cluster hold values that are not finite; the embeddings are damaged")
    wanted = num_clusters(k, len(rows))
    fit = _fit_faiss if kmeans_library().startswith("faiss") else _fit_sklearn
    centroids = fit(rows, wanted, iterations, seed, device)
    counts = np.bincount(assign(rows, centroids)[0], minlength=len(centroids))
    return np.ascontiguousarray(centroids[counts > 0])


def kmeans_library() -> str:
    """Name and version of the library that `fit_centroids` uses here; FAISS for CPU and GPU share their code."""
    for name in ("faiss-cpu", "faiss-gpu", "scikit-learn"):
        try:
            return f"{name.removesuffix('-cpu').removesuffix('-gpu')} {version(name)}"
        except PackageNotFoundError:
            continue
    raise InputError("no k-means library: install faiss-cpu, faiss-gpu or scikit-learn")


def _fit_faiss(rows: Floats, k: int, iterations: int, seed: int, device: str) -> Floats:
    import faiss  # 0.3 s

    gpu = device in ("cuda", "auto") and hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
    kmeans = faiss.Kmeans(
        rows.shape[1],
        k,
        niter=iterations,
        seed=seed,
        gpu=gpu,
        verbose=False,
        min_points_per_centroid=1,  # ours is stated above; FAISS only prints a warning
        max_points_per_centroid=len(rows),  # no second sample below the one that the settings name
    )
    kmeans.train(rows)
    return np.asarray(kmeans.centroids, dtype=np.float32).reshape(k, rows.shape[1])


def _fit_sklearn(rows: Floats, k: int, iterations: int, seed: int, device: str) -> Floats:
    from sklearn.cluster import KMeans  # 1.5 s
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1):
        kmeans = KMeans(k, init="random", n_init=1, max_iter=iterations, random_state=seed, tol=0, algorithm="lloyd")
        kmeans.fit(rows)
    return np.asarray(kmeans.cluster_centers_, dtype=np.float32)


def assign(vectors: npt.NDArray[np.floating], centroids: Floats) -> tuple[Ints, Floats]:
    """The nearest centroid of each vector and the Euclidean distance to it: int32 [n], float32 [n].

    float32 products choose the few centroids that can be nearest within their rounding error; these are
    measured again in float64, row by row. So the answer is exact and the same from any block or machine.
    """
    exact = centroids.astype(np.float64)
    squares = np.einsum("kd,kd->k", exact, exact)
    transposed = np.ascontiguousarray(centroids.T, dtype=np.float32)
    clusters = np.empty(len(vectors), dtype=np.int32)
    distances = np.empty(len(vectors), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK_ROWS):
        block = np.ascontiguousarray(vectors[start : start + BLOCK_ROWS], dtype=np.float32)
        rough = squares.astype(np.float32) - 2 * (block @ transposed)  # squared distance less |x|^2
        rows, candidates = np.nonzero(rough <= rough.min(axis=1, keepdims=True) + _tolerance(block, squares))
        apart = block[rows].astype(np.float64) - exact[candidates]
        measured = (apart * apart).sum(axis=1)
        order = np.lexsort((candidates, measured, rows))
        first = order[np.searchsorted(rows, np.arange(len(block)))]  # sorting by row keeps each row's places
        clusters[start : start + len(block)] = candidates[first]
        distances[start : start + len(block)] = np.sqrt(measured[first])
    return clusters, distances


def _tolerance(block: Floats, squares: Doubles) -> Doubles:
    """[n, 1] twice the error bound of `rough`: d + 2 roundings of terms of at most (|x| + |c|)^2."""
    lengths = np.sqrt(np.einsum("nd,nd->n", block, block, dtype=np.float64))
    largest = (lengths + np.sqrt(squares.max())) ** 2
    bound = 2 * (block.shape[1] + 2) * float(np.finfo(np.float32).eps) * largest
    return cast(Doubles, bound[:, None])


# ---------------------------------------------------------------------------------------------------------
# Scores and pruning


def scores_by_cluster(parts: Iterable[tuple[Ints, npt.NDArray[np.floating]]], *, k: int) -> Doubles:
    """float64 [k, s]: mean of each of s scores over the documents of each fine cluster.

    `parts` are (cluster int32 [n], scores [n] or [n, s]); cluster -1 (not embedded) and scores that are not
    finite (no opinion) do not count, and a cluster without any score has NaN. Scores are added as whole
    numbers, so the order of the parts changes no bit.
    """
    sums: npt.NDArray[np.int64] | None = None
    counts: npt.NDArray[np.int64] | None = None
    for cluster, scores in parts:
        given = np.asarray(scores, dtype=np.float64)
        table = given if given.ndim == 2 else given[:, None]
        if sums is None or counts is None:
            sums, counts = np.zeros((2, k, table.shape[1]), dtype=np.int64)
        for column in range(table.shape[1]):
            told = (cluster >= 0) & np.isfinite(table[:, column])
            steps = np.rint(table[told, column] * SCORE_STEPS)
            sums[:, column] += np.bincount(cluster[told], weights=steps, minlength=k).astype(np.int64)
            counts[:, column] += np.bincount(cluster[told], minlength=k)
    if sums is None or counts is None:
        return np.full((k, 1), np.nan)
    means = np.full(sums.shape, np.nan)
    np.divide(sums / SCORE_STEPS, counts, out=means, where=counts > 0)
    return means


def prune(scores: Doubles, min_score: float | npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """True for the fine clusters to keep: every mean score [k] or [k, s] is at least `min_score` ([] or [s]).

    A cluster without a score (NaN) is not kept. CLIMB's paper has one threshold, its script one per score.
    """
    table = np.asarray(scores, dtype=np.float64).reshape(len(scores), -1)
    with np.errstate(invalid="ignore"):
        return cast(npt.NDArray[np.bool_], (table >= np.asarray(min_score, dtype=np.float64)).all(axis=1))


# ---------------------------------------------------------------------------------------------------------
# Merged clusters


def merge(
    centroids: Floats,
    kept: npt.NDArray[np.bool_],
    *,
    how: Literal["count", "distance"],
    k: int,
    distance: float,
    weights: npt.NDArray[np.integer] | npt.NDArray[np.floating],
) -> Ints:
    """int32 [k_init]: the merged cluster of each fine one, -1 where it was pruned.

    Ward linkage of the kept centroids, each counted once (the official recipe), cut at `k` clusters or at
    Ward distance `distance`. Numbers go down the summed `weights` (documents or tokens of each fine
    cluster); equal sums keep the order of their smallest fine cluster.
    """
    merged = np.full(len(centroids), -1, dtype=np.int32)
    fine = np.flatnonzero(kept)
    if not len(fine):
        raise InputError("every fine cluster scores below clusters.min_score; lower it")
    if len(fine) == 1:
        merged[fine] = 0
        return merged
    from scipy.cluster.hierarchy import fcluster, linkage  # 0.3 s

    tree = linkage(centroids[fine].astype(np.float64), method="ward")
    groups = fcluster(tree, k, "maxclust") if how == "count" else fcluster(tree, distance, "distance")
    merged[fine] = _by_size(groups, np.asarray(weights)[fine])
    return merged


def ward_heights(centroids: Floats, kept: npt.NDArray[np.bool_]) -> Doubles:
    """float64 [kept - 1]: the distances at which Ward linkage joins the kept centroids, ascending.

    Cutting between heights[-m] and heights[-m + 1] leaves m clusters: how to choose `clusters.distance`.
    """
    from scipy.cluster.hierarchy import linkage

    return np.asarray(linkage(centroids[kept].astype(np.float64), method="ward")[:, 2], dtype=np.float64)


def _by_size(groups: npt.NDArray[np.integer], weights: npt.NDArray[np.generic]) -> Ints:
    """Groups numbered anew, heaviest first, ties by their first member."""
    names, first, members = np.unique(groups, return_index=True, return_inverse=True)
    sizes = np.bincount(members, weights=weights.astype(np.float64), minlength=len(names))
    order = np.lexsort((first, -sizes))
    numbers = np.empty(len(names), dtype=np.int32)
    numbers[order] = np.arange(len(names), dtype=np.int32)
    return numbers[members]
