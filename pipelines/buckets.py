"""Which bucket a document is in: its cluster or, with `clusters.tiers`, a tier of quality of its cluster.

Tiers are cut at quantiles of the scores of a cluster's own documents, so that what a classifier thinks of a whole
subject moves nothing from one subject to another. They are fitted on the kept documents of the fit crawls; later
crawls are held against the same scores. Nemotron-CC (2412.02595) cuts a whole crawl into 20 such tiers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipelines import lineage
from pipelines.classifiers.scores import SCORE_COLUMNS, signal_score
from pipelines.corpus import Corpus
from pipelines.settings import Settings
from pipelines.store import aligned

MIN_DOCUMENTS = 20  # of a tier where it is fitted; a smaller one joins its neighbour

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """From fine cluster and score to bucket. Buckets go by cluster, within it from the lowest tier up."""

    merged: Ints  # [fine] cluster, -1 where it is pruned
    starts: Floats  # [clusters, tiers - 1] lowest score of each tier but the first; infinite where a cluster lacks it

    @classmethod
    def of_clusters(cls, merged: npt.NDArray[np.integer]) -> "Buckets":
        """A bucket a cluster."""
        return cls(merged.astype(np.int32), np.empty((int(merged.max()) + 1, 0), np.float32))

    @property
    def clusters(self) -> Ints:
        """[buckets] the cluster of each."""
        return np.repeat(np.arange(len(self.starts), dtype=np.int32), self._num_tiers)

    @property
    def tiers(self) -> Ints:
        """[buckets] the tier of each, 1 the lowest; a cluster lacks those that it is not cut into."""
        return np.nonzero(self._every < np.inf)[1].astype(np.int32) + 1

    @property
    def from_scores(self) -> Floats:
        """[buckets] the score that each begins at; -inf of the lowest."""
        return self._every[self._every < np.inf]

    @property
    def _every(self) -> Floats:
        """[clusters, tiers] the score that each tier begins at, infinite where there is none."""
        lowest = np.full((len(self.starts), 1), -np.inf, np.float32)
        return np.concatenate([lowest, self.starts], axis=1)

    @property
    def _num_tiers(self) -> npt.NDArray[np.int64]:
        return np.asarray(1 + np.isfinite(self.starts).sum(axis=1), np.int64)

    def numbers(self, fine: npt.NDArray[np.integer], scores: npt.NDArray[np.floating]) -> Ints:
        """int32 [n] bucket of documents, -1 where a fine cluster is negative or pruned.

        `scores` [n] are read where there are tiers; a document without one (NaN) is in the lowest.
        """
        cluster = np.where(fine >= 0, self.merged[fine], -1).astype(np.int32)
        if not self.starts.shape[1]:
            return cluster
        first = np.concatenate([[0], np.cumsum(self._num_tiers)[:-1]]).astype(np.int32)
        tier = (np.asarray(scores, np.float32)[:, np.newaxis] >= self.starts[cluster]).sum(axis=1)
        return np.where(cluster >= 0, first[cluster] + tier, -1).astype(np.int32)

    def shared_out(self, counts: npt.ArrayLike, sizes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """[buckets] counts by fine cluster; a cluster's are shared out over its tiers by their `sizes` [buckets].

        So what is known of clusters alone (where a target's documents lie) says nothing of tiers. Counts of pruned
        clusters are left out.
        """
        kept = self.merged >= 0
        by_cluster = np.bincount(self.merged[kept], np.asarray(counts)[kept], len(self.starts)).astype(np.float64)
        if len(self.clusters) == len(by_cluster):
            return by_cluster
        held = np.maximum(np.asarray(sizes, np.float64), 1e-9)
        return np.asarray(by_cluster[self.clusters] * held / np.bincount(self.clusters, held)[self.clusters])


def fitted(merged: Ints, parts: Iterable[pa.Table], quantiles: Sequence[float]) -> Buckets:
    """Buckets whose tiers begin at these quantiles, ascending, of the scores of each cluster's documents.

    `parts` have the columns of `placed`; about 20 bytes of each document are in memory. Equal scores stay together in
    the upper tier.
    """
    whole = Buckets.of_clusters(merged)
    columns = ((np.asarray(rows["fine"]), np.array(rows["score"])) for rows in parts)
    found = [(whole.numbers(fine, score), score) for fine, score in columns]
    cluster, scores = (np.concatenate(column) for column in zip(*found, strict=True))
    starts = np.full((int(merged.max()) + 1, len(quantiles)), np.inf, np.float32)
    for one in range(len(starts)):
        starts[one] = cut(scores[cluster == one], quantiles)
    return Buckets(merged.astype(np.int32), starts)


def cut(scores: Floats, quantiles: Sequence[float]) -> Floats:
    """[quantiles] the score at which each one's tier begins, infinite where it would leave fewer than MIN_DOCUMENTS.

    So a tier's number says at which quantile it begins, whichever others a cluster lacks. Quantiles are of documents
    that have a score; those without (NaN) are in the lowest tier.
    """
    ordered = np.sort(scores[~np.isnan(scores)])
    unknown = len(scores) - len(ordered)
    found = np.full(len(quantiles), np.inf, np.float32)
    before = 0
    for place, quantile in enumerate(quantiles):
        start = ordered[min(int(np.ceil(quantile * len(ordered))), len(ordered) - 1)] if len(ordered) else np.inf
        first = unknown + int(np.searchsorted(ordered, start))
        if first - before >= MIN_DOCUMENTS and len(scores) - first >= MIN_DOCUMENTS:
            found[place] = start
            before = first
    return found


# ---------------------------------------------------------------------------------------------------------
# In a workspace


def placed(corpus: Corpus, crawl: str, part: str) -> pa.Table:
    """id, fine (cluster, -1: in none) and score (NaN: none) of every row of a part; all NaN without tiers."""
    rows = lineage.fine_clusters(corpus, crawl).read(part, ("id", "cluster")).rename_columns(["id", "fine"])
    scored = lineage.tiered_by(corpus, crawl)
    if scored is None:
        return rows.append_column("score", pa.array(np.full(rows.num_rows, np.nan, np.float32)))
    names = _score_columns(corpus.settings)
    columns = scored.read(part, ("id", *names))
    aligned(rows, columns)
    return rows.append_column("score", pa.array(_scores(corpus.settings, columns.select(names))))


def in_buckets(corpus: Corpus, crawl: str, part: str, *, buckets: Buckets) -> pa.Table:
    """id and bucket (-1: in none) of every row of a part."""
    rows = placed(corpus, crawl, part)
    numbers = buckets.numbers(np.asarray(rows["fine"]), np.asarray(rows["score"]))
    return rows.select(["id"]).append_column("bucket", pa.array(numbers, pa.int32()))


def _score_columns(settings: Settings) -> tuple[str, ...]:
    return (settings.clusters.tier_score,) if settings.clusters.tier_score else SCORE_COLUMNS


def _scores(settings: Settings, columns: pa.Table) -> Floats:
    if settings.clusters.tier_score:
        return np.asarray(columns.column(0).fill_null(np.nan), np.float32)
    return signal_score(pl.DataFrame(pl.from_arrow(columns)))
