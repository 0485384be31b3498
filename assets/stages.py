"""What every asset that is a stage of documents shares: named like its stage, of the stage's version."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dagster as dg

from assets.partitions import ONE_RUN, crawls
from assets.results import claim
from pipelines import lineage

BEAM = frozenset({"beam", "parquet"})


def of_crawls(
    *deps: dg.AssetsDefinition | dg.AssetSpec,
    group: str = "corpus",
    kinds: Iterable[str] = BEAM,
    pool: str | None = None,
    blocking: Sequence[str] = (),
    telling: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """An asset with a partition for each crawl; claims that stop a run, and claims that only tell."""

    def made(body: Callable[..., Any]) -> dg.AssetsDefinition:
        name = body.__name__
        return dg.asset(
            deps=deps,
            partitions_def=crawls,
            backfill_policy=ONE_RUN,
            group_name=group,
            kinds=set(kinds),
            pool=pool,
            code_version=str(lineage.VERSIONS[name]),
            check_specs=[claim(one, name, partitioned=True, blocking=one in blocking) for one in (*blocking, *telling)],
        )(body)

    return made


def of_corpus(
    *deps: dg.AssetsDefinition | dg.AssetDep,
    group: str,
    kinds: Iterable[str],
    pool: str | None = None,
    blocking: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """An asset that spans all crawls; claims that stop a run."""

    def made(body: Callable[..., Any]) -> dg.AssetsDefinition:
        name = body.__name__
        return dg.asset(
            deps=deps,
            group_name=group,
            kinds=set(kinds),
            pool=pool,
            code_version=str(lineage.VERSIONS[name]),
            check_specs=[claim(one, name) for one in blocking],
        )(body)

    return made
