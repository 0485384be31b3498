"""New columns beside the documents, none of which says yet who stays: edits, signals, vectors, scores, signatures."""

import dagster as dg

from assets import claims
from assets.crawl import documents
from assets.partitions import crawls
from assets.resources import CorpusResource
from assets.results import Judged, Recorded, by_crawl, checked_by_crawl
from assets.stages import of_crawls


@of_crawls(documents)
def edits(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Spans that later readers cut from the text, by reason."""
    from pipelines.stages import run_edits

    return by_crawl(context, workspace, run_edits)


@of_crawls(documents, edits, blocking=["rows_match_documents"])
def signals(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Language and the raw value of every heuristic."""
    from pipelines.stages import run_signals

    return by_crawl(context, workspace, run_signals, rows_match_documents=claims.rows_match_documents)


@of_crawls(documents)
def dialects(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Signals as other pipelines count them, where the preset reads them."""
    from pipelines.stages import run_dialects

    return by_crawl(context, workspace, run_dialects)


@of_crawls(documents, signals, kinds={"torch", "parquet"}, pool="gpu", blocking=["rows_match_documents"])
def embeddings(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Vectors of the documents behind the coarse gate; older ones of the same encoder are used again."""
    from pipelines.vectors.stages import run_embeddings

    return by_crawl(context, workspace, run_embeddings, rows_match_documents=claims.rows_match_documents)


@dg.asset_check(asset=embeddings, blocking=True, partitions_def=crawls)
def vectors_finite(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> Judged:
    """No vector holds an infinity or a NaN, and what was not embedded is zero."""
    return checked_by_crawl(context, workspace, claims.vectors_finite)


@of_crawls(documents, embeddings)
def scores(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Values of the classifiers that the settings name."""
    from pipelines.stages import run_scores

    return by_crawl(context, workspace, run_scores)


@of_crawls(documents, edits)
def contamination(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Word n-grams that documents share with the tests that the settings name."""
    from pipelines.stages import run_contamination

    return by_crawl(context, workspace, run_contamination)


@of_crawls(documents)
def signatures(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Content hash and MinHash bands of every document."""
    from pipelines.stages import run_signatures

    return by_crawl(context, workspace, run_signatures)
