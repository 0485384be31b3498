"""From what a stage did to what Dagster records: a materialisation a crawl, and the claims about it.

A run over a range of crawls plans an evaluation of each claim for each of them, but Dagster 1.13 gives an
AssetCheckResult in such a run to no crawl, and the plans stay open for ever. So partitioned assets and checks
yield one AssetCheckEvaluation a crawl themselves; a blocking one stops the run as usual.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (  # not public; dagster is pinned
    AssetCheckEvaluationTargetMaterializationData,
)

from assets import claims, metadata
from assets.claims import Finding
from assets.partitions import crawls
from assets.resources import CorpusResource
from pipelines.corpus import Corpus, Report
from pipelines.optional import wanted

# At run time the plain classes, which is how Dagster recognises that nothing is to be stored.
if TYPE_CHECKING:
    Materialised = dg.MaterializeResult[Any]
    Recorded = Iterator[Any]
    Judged = Any  # the decorator wants an AssetCheckResult
else:
    Materialised = Recorded = dg.MaterializeResult
    Judged = dg.AssetCheckResult

OFF = Finding(True, {"off": "the settings do not ask for it"})

Told = Callable[[Corpus, Report], Finding]  # a claim about what a stage has just told
Read = Callable[[Corpus, str], Finding]  # a claim that reads the stage again


def claim(name: str, asset: str | list[str], *, partitioned: bool = False, blocking: bool = True) -> dg.AssetCheckSpec:
    """The declaration of a claim that an asset's own body judges."""
    return dg.AssetCheckSpec(
        name,
        asset=dg.AssetKey(asset),
        description=getattr(claims, name).__doc__,
        blocking=blocking,
        partitions_def=crawls if partitioned else None,
    )


def by_crawl(
    context: dg.AssetExecutionContext,
    workspace: CorpusResource,
    run: Callable[[Corpus, str], Report],
    **told: Told,
) -> Iterator[Any]:
    """Run a stage for each of the run's crawls, oldest first; nothing where the settings ask for no such stage."""
    corpus = workspace.open(context)
    if not wanted(corpus.settings, context.asset_key.path[-1]):
        findings = {name: dict.fromkeys(context.partition_keys, OFF) for name in told}
        yield dg.MaterializeResult(metadata=OFF.told)
    else:
        findings = {name: {} for name in told}
        for crawl in ordered(corpus, context.partition_keys):
            report = run(corpus, crawl)
            context.add_asset_metadata(metadata.of(corpus, report), partition_key=crawl)
            for name, judge in told.items():
                findings[name][crawl] = judge(corpus, report)
        yield dg.MaterializeResult()
    for spec in context.assets_def.check_specs:
        yield dg.Output(None, output_name=spec.get_python_identifier())
        yield from evaluations(context.instance, spec, findings[spec.name])


def once(
    context: dg.AssetExecutionContext, workspace: CorpusResource, run: Callable[[Corpus], Report], **told: Told
) -> Materialised:
    """Run a stage that spans all crawls; nothing where the settings ask for no such stage."""
    corpus = workspace.open(context)
    if not wanted(corpus.settings, context.asset_key.path[-1]):
        return dg.MaterializeResult(metadata=OFF.told)
    report = run(corpus)
    return dg.MaterializeResult(
        metadata=metadata.of(corpus, report),
        check_results=[result(name, judge(corpus, report)) for name, judge in told.items()],
        data_version=dg.DataVersion(report.content) if report.content else None,
    )


def checked_by_crawl(context: dg.AssetCheckExecutionContext, workspace: CorpusResource, read: Read) -> Iterator[Any]:
    """Judge a claim for each of the run's crawls."""
    corpus = workspace.open(context)
    there = wanted(corpus.settings, context.check_specs[0].asset_key.path[-1])
    listed = ordered(corpus, context.partition_keys)
    findings = {crawl: read(corpus, crawl) if there else OFF for crawl in listed}
    yield dg.Output(None)
    yield from evaluations(context.instance, context.check_specs[0], findings)


def checked(
    context: dg.AssetCheckExecutionContext, workspace: CorpusResource, read: Callable[[Corpus], Finding]
) -> dg.AssetCheckResult:
    """Judge a claim about a stage that spans all crawls."""
    return result(context.check_specs[0].name, read(workspace.open(context)))


def evaluations(
    instance: dg.DagsterInstance, spec: dg.AssetCheckSpec, findings: Mapping[str, Finding]
) -> Iterator[dg.AssetCheckEvaluation]:
    """A claim's evaluation for each crawl, tied to the crawl's latest materialisation."""
    for crawl, finding in findings.items():
        asked = dg.AssetRecordsFilter(asset_key=spec.asset_key, asset_partitions=[crawl])
        latest = instance.fetch_materializations(asked, limit=1).records[0]
        yield dg.AssetCheckEvaluation(
            asset_key=spec.asset_key,
            check_name=spec.name,
            passed=finding.holds,
            metadata=metadata.values(finding.told),
            severity=finding.severity,
            blocking=spec.blocking,
            partition=crawl,
            target_materialization_data=AssetCheckEvaluationTargetMaterializationData(
                storage_id=latest.storage_id, run_id=latest.event_log_entry.run_id, timestamp=latest.timestamp
            ),
        )


def result(name: str, finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=finding.holds,
        metadata=metadata.values(finding.told),
        severity=finding.severity,
    )


def ordered(corpus: Corpus, names: Sequence[str]) -> list[str]:
    """Crawls, oldest first."""
    return sorted(names, key=lambda name: corpus.crawl(name).order)
