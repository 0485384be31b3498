"""From what a stage did to what Dagster records: one materialisation a crawl, and the claims about it.

In a run over one crawl a claim is recorded for that crawl. A run over a range has one verdict, which gates
what comes after, and beside it one evaluation for each crawl: Dagster 1.13 records none of its own there.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets import metadata
from assets.claims import Finding
from assets.partitions import crawls
from assets.resources import CorpusResource
from pipelines.corpus import Corpus, Report

if TYPE_CHECKING:
    Materialised = dg.MaterializeResult[Any]
else:
    Materialised = dg.MaterializeResult  # Dagster does not know a subscripted one beside check_specs

Told = Callable[[Corpus, Report], Finding]  # a claim about what a stage has just told
Read = Callable[[Corpus, str], Finding]  # a claim that reads the stage again


def claim(name: str, asset: str | list[str], *, partitioned: bool = False, blocking: bool = True) -> dg.AssetCheckSpec:
    """The declaration of a claim that an asset's own body judges."""
    key = dg.AssetKey(asset)
    return dg.AssetCheckSpec(name, asset=key, blocking=blocking, partitions_def=crawls if partitioned else None)


def by_crawl(
    context: dg.AssetExecutionContext,
    workspace: CorpusResource,
    run: Callable[[Corpus, str], Report],
    **claims: Told,
) -> Materialised:
    """Run a stage for each of the run's crawls, oldest first."""
    corpus = workspace.open(context)
    findings: dict[str, dict[str, Finding]] = {name: {} for name in claims}
    for crawl in _ordered(corpus, context.partition_keys):
        report = run(corpus, crawl)
        context.add_asset_metadata(metadata.of(corpus, report), partition_key=crawl)
        for name, judge in claims.items():
            findings[name][crawl] = judge(corpus, report)
    results = [verdict(context, context.asset_key, name, found) for name, found in findings.items()]
    return dg.MaterializeResult(check_results=results)


def once(
    context: dg.AssetExecutionContext, workspace: CorpusResource, run: Callable[[Corpus], Report], **claims: Told
) -> Materialised:
    """Run a stage that spans all crawls."""
    corpus = workspace.open(context)
    report = run(corpus)
    return dg.MaterializeResult(
        metadata=metadata.of(corpus, report),
        check_results=[result(name, judge(corpus, report)) for name, judge in claims.items()],
        data_version=dg.DataVersion(report.content) if report.content else None,
    )


def checked_by_crawl(
    context: dg.AssetCheckExecutionContext, workspace: CorpusResource, read: Read
) -> dg.AssetCheckResult:
    """Judge a claim for each of the run's crawls."""
    corpus = workspace.open(context)
    key = context.check_specs[0].key
    findings = {crawl: read(corpus, crawl) for crawl in _ordered(corpus, context.partition_keys)}
    return verdict(context, key.asset_key, key.name, findings)


def checked(
    context: dg.AssetCheckExecutionContext, workspace: CorpusResource, read: Callable[[Corpus], Finding]
) -> dg.AssetCheckResult:
    """Judge a claim about a stage that spans all crawls."""
    return result(context.check_specs[0].name, read(workspace.open(context)))


def verdict(
    context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext,
    asset: dg.AssetKey,
    name: str,
    findings: Mapping[str, Finding],
) -> dg.AssetCheckResult:
    """What holds for all crawls of the run; where they are several, each is put on record too."""
    if len(findings) == 1:
        return result(name, next(iter(findings.values())))
    for crawl, finding in findings.items():
        context.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=asset,
                check_name=name,
                passed=finding.holds,
                metadata=metadata.values(finding.told),
                severity=finding.severity,
                partition=crawl,
            )
        )
    worst = next((one for one in findings.values() if not one.holds), next(iter(findings.values())))
    told = {f"{crawl} {key}": value for crawl, one in findings.items() for key, value in one.told.items()}
    return result(name, Finding(worst.holds, told, warns=worst.warns))


def result(name: str, finding: Finding) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        check_name=name,
        passed=finding.holds,
        metadata=metadata.values(finding.told),
        severity=finding.severity,
    )


def _ordered(corpus: Corpus, names: list[str] | Any) -> list[str]:
    return sorted(names, key=lambda name: corpus.crawl(name).order)
