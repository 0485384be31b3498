"""Which documents stay: verdicts of each by itself, then duplicates among those."""

import dagster as dg

from assets import claims
from assets.columns import contamination, dialects, edits, scores, signals, signatures
from assets.crawl import documents
from assets.partitions import crawls
from assets.resources import CorpusResource
from assets.results import Judged, Materialised, Recorded, by_crawl, checked_by_crawl, once
from assets.stages import of_crawls
from pipelines import lineage


@of_crawls(documents, signals, dialects, scores, contamination, blocking=["keeps_plausible_share"])
def verdicts(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """The first reason to drop a document, or none: its address, its language, the preset's rules, scores, tests."""
    from pipelines.stages import run_verdicts

    return by_crawl(context, workspace, run_verdicts, keeps_plausible_share=claims.keeps_plausible_share)


@dg.asset(group_name="corpus", kinds={"parquet"}, code_version=str(lineage.VERSIONS["targets"]))
def targets(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Materialised:
    """Held-out documents that the mixture should serve; half of each target is for the final comparison alone."""
    from pipelines.targets import run_targets

    return once(context, workspace, run_targets)


@of_crawls(signatures, verdicts, targets, blocking=["duplicate_rate_below_limit"], telling=["groups_below_cap"])
def duplicates(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Exact and near duplicates within the crawl, of earlier crawls and of the targets.

    A crawl needs the duplicates of those before it: a run over several takes them in order.
    """
    from pipelines.duplicates.groups import run_duplicates

    return by_crawl(
        context,
        workspace,
        run_duplicates,
        duplicate_rate_below_limit=claims.duplicate_rate_below_limit,
        groups_below_cap=claims.groups_below_cap,
    )


@dg.asset_check(asset=duplicates, partitions_def=crawls)
def sources_keep_enough(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> Judged:
    """No source loses more of its documents as duplicates than `duplicates.max_source_loss`; fails by its name."""
    return checked_by_crawl(context, workspace, claims.sources_keep_enough)


@of_crawls(documents, edits, verdicts, duplicates)
def repeats(context: dg.AssetExecutionContext, workspace: CorpusResource) -> Recorded:
    """Lines, paragraphs or longer stretches that an earlier document holds too; off unless the settings ask."""
    from pipelines.duplicates.repeats import run_repeats

    return by_crawl(context, workspace, run_repeats)


@dg.asset_check(asset=duplicates, blocking=True, partitions_def=crawls)
def ids_unique(context: dg.AssetCheckExecutionContext, workspace: CorpusResource) -> Judged:
    """No id stands twice among the documents that stay."""
    return checked_by_crawl(context, workspace, claims.ids_unique)
