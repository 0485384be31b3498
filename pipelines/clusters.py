"""Fine clusters to the buckets that a mixture has weights for: scored, pruned, merged, cut into tiers, and named.

Or the domains that a person brings along (pipelines/domains.py). Decided on the fit crawls; sizes are of all crawls.
What the rest of the program calls a cluster is such a bucket: a tier of quality where `clusters.tiers` asks for them.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import lineage
from pipelines.buckets import MIN_DOCUMENTS, Buckets, fitted, in_buckets, placed
from pipelines.corpus import Corpus, Report, added
from pipelines.domains import domain_of, domains
from pipelines.errors import InputError
from pipelines.fitting import kept_parts, published, read_centroids
from pipelines.optional import by_topic


def run_clusters(corpus: Corpus) -> Report:
    """Fine clusters scored, pruned, merged, cut and named, or the domains; with the tokens of all crawls."""
    return published(corpus, lineage.clusters(corpus), lambda folder: _fit_clusters(corpus, folder))


def _fit_clusters(corpus: Corpus, folder: Path) -> dict[str, Any]:
    sources = () if by_topic(corpus.settings) else domains(corpus)
    centroids = None if sources else read_centroids(corpus)
    count = len(sources) if centroids is None else len(centroids)
    every, documents = _fine_scores(corpus, count)
    scores = np.nan_to_num(every).mean(axis=1)
    if centroids is None:
        _must_not_be_empty(corpus, sources, documents)
        merged = np.arange(count, dtype=np.int32)
    else:
        merged = _merged(corpus, centroids, every, documents)
    buckets = _buckets(corpus, merged)
    means, num_unknown = _mean_scores(corpus, buckets, scores, documents)
    table = _cluster_table(corpus, buckets, means, sources)
    pq.write_table(_fine_table(merged, documents, scores), folder / "fine.parquet")
    pq.write_table(table, folder / "clusters.parquet")
    told = {"fine": count, "pruned": int((merged < 0).sum()), "clusters": table.num_rows}
    if corpus.settings.clusters.tiers:
        np.save(folder / "tiers.npy", buckets.starts)
        told |= {"topics": len(buckets.starts), "cut": len(_cut(buckets)), "without_score": num_unknown}
    return {**told, "tokens": int(np.asarray(table["tokens"]).sum())}


def _fine_table(merged: np.ndarray, documents: np.ndarray, scores: np.ndarray) -> pa.Table:
    return pa.table(
        {
            "fine_cluster": np.arange(len(merged), dtype=np.int32),
            "cluster": merged.astype(np.int32),
            "documents": documents,
            "score": scores.astype(np.float32),
        }
    )


def _merged(corpus: Corpus, centroids: np.ndarray, scores: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """The merged cluster of each fine one, -1 where it is pruned."""
    from pipelines.vectors import cluster

    settings = corpus.settings.clusters
    kept = cluster.prune(scores, settings.min_score)
    if not kept.any():
        raise InputError(f"every cluster scores below clusters.min_score = {settings.min_score}; lower it")
    return cluster.merge(
        centroids, kept, how=settings.merge, k=settings.k, distance=settings.distance, weights=documents
    )


def _must_not_be_empty(corpus: Corpus, sources: Sequence[str], documents: np.ndarray) -> None:
    """InputError that says of every domain without a document what became of its records."""
    empty = [name for name, count in zip(sources, documents.tolist(), strict=True) if not count]
    if not empty:
        return
    told = []
    for name in empty:
        sides = [
            side["counts"]
            for crawl in corpus.fit_crawls
            for side in lineage.documents(corpus, crawl).sidecars().values()
            if domain_of(side["file"]) == name
        ]
        counts = added(sides)
        why = {**counts.get("dropped", {}), **counts.get("errors", {})}
        kept = counts.get("kept", 0)
        told.append(
            f"{name!r} ({counts.get('read', 0)} records read, {kept} of them documents"
            + "".join(f", {count} {reason}" for reason, count in why.items())
            + (", which rules or duplicates dropped)" if kept else ")")
        )
    raise InputError(f"no document is left of a domain: {'; '.join(told)}; take its files away, or mend them")


def _fine_scores(corpus: Corpus, num_centroids: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean scores [k, s] and number of kept documents [k] of each fine cluster, on the fit crawls."""
    from pipelines.vectors import cluster

    count = np.zeros(num_centroids, np.int64)

    def scored() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number, values in _scored_parts(corpus):
            np.add.at(count, number[number >= 0], 1)
            yield number, values

    return cluster.scores_by_cluster(scored(), k=num_centroids), count


def _scored_parts(corpus: Corpus) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(fine cluster, scores) of kept documents: of each classifier, or the one from the signals."""
    from pipelines.classifiers import scores as scoring

    paths = corpus.settings.clusters.scores
    wanted: dict[str, tuple[str, ...]] = {"fine_clusters": ("cluster",)}
    wanted |= {"documents": ("text",)} if paths else {"signals": scoring.SCORE_COLUMNS}
    for rows in kept_parts(corpus, corpus.fit_crawls, wanted):
        if paths:
            texts = rows["text"].to_pylist()
            values = np.stack([scoring.fasttext_scores(texts, path) for path in paths], axis=1)
        else:
            values = scoring.signal_score(pl.DataFrame(pl.from_arrow(rows.select(scoring.SCORE_COLUMNS))))
        yield np.asarray(rows["cluster"]), values


def _buckets(corpus: Corpus, merged: np.ndarray) -> Buckets:
    quantiles = corpus.settings.clusters.tiers
    if not quantiles:
        return Buckets.of_clusters(merged)
    buckets = fitted(merged, kept_parts(corpus, corpus.fit_crawls, {}, beside=placed), quantiles)
    if not len(_cut(buckets)):
        score = corpus.settings.clusters.tier_score
        raise InputError(
            f"clusters.tiers = {list(quantiles)} cuts none of {len(buckets.starts)} clusters: in each, fewer than"
            f" {MIN_DOCUMENTS} documents are on one side, and those of one score stay together; clusters.tier_score ="
            f" {score!r} ({'a classifier' if score else 'a score from the signals, 1 for much of prose'}): take a"
            " finer one, or larger clusters, or leave clusters.tiers out"
        )
    return buckets


def _cut(buckets: Buckets) -> np.ndarray:
    """The clusters that have several tiers."""
    return np.unique(buckets.clusters[buckets.tiers > 1])


def _mean_scores(corpus: Corpus, buckets: Buckets, scores: np.ndarray, documents: np.ndarray) -> tuple[np.ndarray, int]:
    """([buckets] mean score of each, how many documents are in the lowest tier for want of one).

    Means are those of fine clusters or, with tiers, of documents by what the tiers go by.
    """
    from pipelines.vectors import cluster

    if not corpus.settings.clusters.tiers:
        mine = [buckets.merged == one for one in range(len(buckets.starts))]
        return np.array([np.average(scores[fine], weights=np.maximum(documents[fine], 1)) for fine in mine]), 0
    num_unknown = 0

    def scored() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        nonlocal num_unknown
        for rows in kept_parts(corpus, corpus.fit_crawls, {}, beside=placed):
            score = np.asarray(rows["score"])
            number = buckets.numbers(np.asarray(rows["fine"]), score)
            num_unknown += int((np.isnan(score) & (number >= 0)).sum())
            yield number, score

    means = np.nan_to_num(cluster.scores_by_cluster(scored(), k=len(buckets.clusters))[:, 0])
    return means, num_unknown


def _samples(corpus: Corpus, buckets: Buckets, per_bucket: int = 400) -> tuple[list[str], np.ndarray]:
    """Up to `per_bucket` kept documents of each bucket, those with the smallest ids."""
    best: dict[int, list[tuple[bytes, str]]] = {}
    beside = partial(in_buckets, buckets=buckets)
    for rows in kept_parts(corpus, corpus.fit_crawls, {"documents": ("text",)}, beside=beside):
        number = np.asarray(rows["bucket"])
        for bucket in np.unique(number[number >= 0]).tolist():
            mine = rows.filter(pa.array(number == bucket))
            found = list(zip(mine["id"].to_pylist(), (text[:2000] for text in mine["text"].to_pylist()), strict=True))
            best[bucket] = sorted(best.get(bucket, []) + found)[:per_bucket]
    texts = [text for bucket in sorted(best) for _, text in best[bucket]]
    labels = [bucket for bucket in sorted(best) for _ in best[bucket]]
    return texts, np.array(labels, np.int32)


def _cluster_table(corpus: Corpus, buckets: Buckets, scores: np.ndarray, sources: Sequence[str]) -> pa.Table:
    """One row per bucket; tokens and documents of all crawls."""
    from pipelines.vectors import names

    count = len(buckets.clusters)
    tokens, docs = np.zeros(count, np.int64), np.zeros(count, np.int64)
    every = [crawl.name for crawl in corpus.crawls]
    beside = partial(in_buckets, buckets=buckets)
    for rows in kept_parts(corpus, every, {"tokens": ("num_tokens",)}, beside=beside):
        number = np.asarray(rows["bucket"])
        there = number >= 0
        np.add.at(tokens, number[there], np.asarray(rows["num_tokens"])[there])
        np.add.at(docs, number[there], 1)
    texts, labels = _samples(corpus, buckets)
    named = names.name_clusters(texts, buckets.clusters[labels], num_terms=8)
    named |= {number: (name, named.get(number, ("", []))[1]) for number, name in enumerate(sources)}
    each = [named.get(cluster, (f"cluster {cluster}", [])) for cluster in buckets.clusters.tolist()]
    examples = [[" ".join(text.split())[:200] for text in _of(texts, labels, one)[:3]] for one in range(count)]
    fine = [int((buckets.merged == cluster).sum()) for cluster in buckets.clusters.tolist()]
    return pa.table(
        {
            "cluster": pa.array(range(count), pa.int32()),
            "name": _names([name for name, _ in each], buckets),
            "terms": pa.array([list(terms) for _, terms in each], pa.list_(pa.string())),
            "fine_clusters": pa.array(fine, pa.int32()),
            "documents": docs,
            "tokens": tokens,
            "score": pa.array(scores.tolist(), pa.float32()),
            "examples": pa.array(examples, pa.list_(pa.string())),
        }
    )


def _names(names: Sequence[str], buckets: Buckets) -> list[str]:
    """With `q1`, `q2` ... for the tiers of a cluster that has several."""
    several = np.bincount(buckets.clusters)[buckets.clusters] > 1
    tiers = zip(names, several.tolist(), buckets.tiers.tolist(), strict=True)
    return [f"{name} q{tier}" if cut else name for name, cut, tier in tiers]


def _of(texts: list[str], labels: np.ndarray, one: int) -> list[str]:
    return [texts[index] for index in np.flatnonzero(labels == one)]


def read_clusters(corpus: Corpus) -> pa.Table:
    """A row for each bucket: cluster (its number), name, terms, fine_clusters, documents, tokens, score, examples."""
    stage = lineage.clusters(corpus)
    stage.finished()
    return corpus.workspace.read_table(*stage.steps, "clusters.parquet")


def read_buckets(corpus: Corpus) -> Buckets:
    stage = lineage.clusters(corpus)
    stage.finished()
    fine = corpus.workspace.read_table(*stage.steps, "fine.parquet", columns=["cluster"])
    merged = np.asarray(fine["cluster"])
    if not corpus.settings.clusters.tiers:
        return Buckets.of_clusters(merged)
    with corpus.workspace.open(*stage.steps, "tiers.npy") as file:
        return Buckets(merged, np.asarray(np.load(file)))


def read_fine_documents(corpus: Corpus) -> np.ndarray:
    """Kept documents of each fine cluster, pruned ones too, in the crawls that clusters are fitted on."""
    stage = lineage.clusters(corpus)
    stage.finished()
    table = corpus.workspace.read_table(*stage.steps, "fine.parquet", columns=["documents"])
    return np.asarray(table["documents"])
