"""New columns beside the documents, and which of them stay: edits, signals, verdicts, signatures, duplicates."""

import dagster as dg

from assets import claims
from assets.crawl import documents
from assets.partitions import ONE_RUN, crawls
from assets.resources import CorpusResource
from assets.results import Judged, Materialised, Recorded, by_crawl, checked_by_crawl, claim, once
from pipelines import lineage


@dg.asset(
    deps=[documents],
    partitions_def=crawls,
    backfill_policy=ONE_RUN,
    group_name="corpus",
    kinds={"beam", "parquet"},
    code_version=str(lineage.VERSIONS["edits"]),
)
def edits(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Spans that later readers cut from the text, by reason."""
    from pipelines.stages import run_edits

    return by_crawl(context, workspace, run_edits)


@dg.asset(
    deps=[documents, edits],
    partitions_def=crawls,
    backfill_policy=ONE_RUN,
    group_name="corpus",
    kinds={"beam", "parquet"},
    code_version=str(lineage.VERSIONS["signals"]),
    check_specs=[claim("rows_match_documents", "signals", partitioned=True)],
)
def signals(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Language and the raw value of every heuristic."""
    from pipelines.stages import run_signals

    return by_crawl(context, workspace, run_signals, rows_match_documents=claims.rows_match_documents)


@dg.asset(
    deps=[signals],
    partitions_def=crawls,
    backfill_policy=ONE_RUN,
    group_name="corpus",
    kinds={"beam", "parquet"},
    code_version=str(lineage.VERSIONS["verdicts"]),
    check_specs=[claim("keeps_plausible_share", "verdicts", partitioned=True)],
)
def verdicts(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """The preset's thresholds over the signals: the first reason to drop a document, or none."""
    from pipelines.stages import run_verdicts

    return by_crawl(context, workspace, run_verdicts, keeps_plausible_share=claims.keeps_plausible_share)


@dg.asset(
    deps=[documents],
    partitions_def=crawls,
    backfill_policy=ONE_RUN,
    group_name="corpus",
    kinds={"beam", "parquet"},
    code_version=str(lineage.VERSIONS["signatures"]),
)
def signatures(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Content hash and MinHash bands of every document."""
    from pipelines.stages import run_signatures

    return by_crawl(context, workspace, run_signatures)


@dg.asset(group_name="corpus", kinds={"parquet"}, code_version=str(lineage.VERSIONS["targets"]))
def targets(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
    """Held-out documents that the mixture should serve; half of each target is for the final comparison alone."""
    from pipelines.targets import run_targets

    return once(context, workspace, run_targets)


@dg.asset(
    deps=[signatures, verdicts, targets],
    partitions_def=crawls,
    backfill_policy=ONE_RUN,
    group_name="corpus",
    kinds={"beam", "parquet"},
    code_version=str(lineage.VERSIONS["duplicates"]),
    check_specs=[claim("duplicate_rate_below_limit", "duplicates", partitioned=True)],
)
def duplicates(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Exact and near duplicates within the crawl, of earlier crawls and of the targets.

    A crawl needs the duplicates of those before it: a run over several takes them in order.
    """
    from pipelines.duplicates.groups import run_duplicates

    return by_crawl(context, workspace, run_duplicates, duplicate_rate_below_limit=claims.duplicate_rate_below_limit)


@dg.asset_check(asset=duplicates, blocking=True, partitions_def=crawls)
def ids_unique(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> Judged:
    """No id stands twice among the documents that stay."""
    return checked_by_crawl(context, workspace, claims.ids_unique)
