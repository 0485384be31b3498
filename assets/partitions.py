"""Crawls as partitions, in the order in which they were added; parts are files inside a partition.

A run takes one crawl or a range of them: a body goes through its crawls oldest first, because a crawl's
duplicates need those of the crawls before it. So every partitioned asset has the single-run backfill policy.
"""

import warnings

import dagster as dg

# Backfill policies and partitioned checks are called beta and preview in the pinned version; both are tested.
warnings.filterwarnings("ignore", r".*(backfill_policy|partitions_def).* is currently in (beta|preview)")

crawls = dg.DynamicPartitionsDefinition(name="crawls")
ONE_RUN = dg.BackfillPolicy.single_run()


def of_every_crawl(*assets: dg.AssetsDefinition) -> list[dg.AssetDep]:
    """Dependencies of an asset that spans all crawls."""
    return [dg.AssetDep(asset, partition_mapping=dg.AllPartitionMapping()) for asset in assets]


def range_tags(first: str, last: str) -> dict[str, str]:
    """Tags of a run over the partitions `first` to `last`, in the order in which they were added."""
    return {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
