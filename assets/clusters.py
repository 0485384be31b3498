"""Vectors to clusters to token pools: what proxies are trained and measured on."""

import dagster as dg

from assets import claims
from assets.columns import edits, embeddings, scores, signals
from assets.corpus import duplicates, repeats, targets, verdicts
from assets.crawl import documents
from assets.partitions import of_every_crawl
from assets.resources import CorpusResource
from assets.results import Materialised, Recorded, by_crawl, checked, once
from assets.stages import of_corpus, of_crawls


@of_corpus(*of_every_crawl(embeddings, verdicts, duplicates, repeats), group="clusters", kinds={"faiss"})
def centroids(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
    """Fine k-means centroids, fitted on kept documents of the fit crawls."""
    from pipelines.fitting import run_centroids

    return once(context, workspace, run_centroids)


@of_crawls(embeddings, centroids, group="clusters")
def fine_clusters(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """The nearest centroid of every embedded document, or the folder that a document came from."""
    from pipelines.vectors.stages import run_fine_clusters

    return by_crawl(context, workspace, run_fine_clusters)


@of_crawls(embeddings, fine_clusters, verdicts, duplicates, repeats, group="clusters")
def semantic(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Documents of a fine cluster whose vectors nearly agree; off unless the settings ask."""
    from pipelines.duplicates.semantic import run_semantic

    return by_crawl(context, workspace, run_semantic)


@of_corpus(*of_every_crawl(documents, edits, verdicts, duplicates, repeats), group="clusters", kinds={"tokenizers"})
def tokenizer(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
    """The tokeniser: trained on kept text of the fit crawls, or the one that the settings name."""
    from pipelines.fitting import run_tokenizer

    return once(context, workspace, run_tokenizer)


@of_crawls(
    tokenizer,
    documents,
    edits,
    verdicts,
    duplicates,
    repeats,
    semantic,
    group="clusters",
    blocking=["rows_match_documents"],
)
def tokens(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Token ids of every kept document after its edits."""
    from pipelines.stages import run_tokens

    return by_crawl(context, workspace, run_tokens, rows_match_documents=claims.rows_match_documents)


@of_corpus(
    centroids,
    *of_every_crawl(signals, scores, fine_clusters, tokens),
    group="clusters",
    kinds={"scipy"},
    blocking=["sizes_not_degenerate"],
)
def clusters(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
    """Fine clusters scored, pruned, merged, cut into tiers of quality and named: one table for all crawls."""
    from pipelines.clusters import run_clusters

    return once(context, workspace, run_clusters, sizes_not_degenerate=claims.sizes_not_degenerate)


@of_corpus(clusters, *of_every_crawl(signals, scores, fine_clusters, tokens), group="clusters", kinds={"numpy"})
def pools(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
    """One memory-mapped token file per cluster, train and validation apart by document."""
    from pipelines.pooling import run_pools

    return once(context, workspace, run_pools)


@dg.asset_check(asset=pools, blocking=True)
def tokens_match_manifest(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> dg.AssetCheckResult:
    """Each pool is as long as its index says, and holds the tokens that the cluster table counts."""
    return checked(context, workspace, claims.tokens_match_manifest)


@of_corpus(targets, tokenizer, clusters, centroids, pools, group="clusters", kinds={"torch"}, pool="gpu")
def evaluations(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
    """The targets as tokens, and the clusters that their own documents fall into."""
    from pipelines.pooling import run_evaluations

    return once(context, workspace, run_evaluations)
