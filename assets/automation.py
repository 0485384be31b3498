"""The one job, the sensor that starts it for new crawls, and a monthly schedule.

A run of `build_dataset` takes one crawl or a range of them through the partitioned assets, and then all that
spans crawls: one run is one whole dataset, whatever it has to do for it.
"""

import json
from typing import Any

import dagster as dg
import fsspec

from assets.crawl import registration
from assets.partitions import crawls, range_tags
from pipelines.crawls import listed, register, registered
from pipelines.errors import InputError
from pipelines.store import Workspace

CRAWLS_FOLDER = "SIRDAR_CRAWLS"

build_dataset = dg.define_asset_job(
    "build_dataset",
    selection=dg.AssetSelection.all(),
    description="Raw crawls to the mixture dataset: every stage of the run's crawls, then all that spans crawls.",
)


def new_crawls(workspace: str) -> dg.SensorDefinition:
    """The sensor of one workspace."""

    @dg.sensor(
        name="new_crawls",
        job=build_dataset,
        minimum_interval_seconds=60,
        description=f"Each folder below ${CRAWLS_FOLDER} is a crawl; a new one becomes a partition, and a run.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        root = dg.EnvVar(CRAWLS_FOLDER).get_value()
        if not root:
            return dg.SkipReason(f"${CRAWLS_FOLDER} names no folder to watch")
        place = Workspace(workspace)
        known = {crawl.name for crawl in registered(place)}
        seen: dict[str, Any] = json.loads(context.cursor or "{}")
        sizes = {name: _sizes(location) for name, location in _folders(root).items() if name not in known}
        # A folder that is still being copied grows: it is taken when two ticks in a row found the same in it.
        complete = [name for name in sorted(sizes) if sizes[name] and seen.get(name) == sizes[name]]
        added = [register(place, name, [_folders(root)[name]]) for name in complete]
        missing = _without_partition(place, context.instance)
        first_new = next((name for name in missing if name in complete), None)
        runs = []
        if first_new:
            tags = range_tags(first_new, added[-1].name)
            runs.append(dg.RunRequest(run_key=added[-1].name, tags={**tags, "crawl": added[-1].name}))
        return dg.SensorResult(
            run_requests=runs,
            dynamic_partitions_requests=[crawls.build_add_request(missing)] if missing else [],
            asset_events=[registration(crawl) for crawl in registered(place) if crawl.name in missing],
            cursor=json.dumps({name: found for name, found in sizes.items() if name not in complete}),
            skip_reason=None,
        )

    return sensor


def monthly(workspace: str) -> dg.ScheduleDefinition:
    """The schedule of one workspace; someone has to start it."""

    @dg.schedule(
        name="monthly",
        job=build_dataset,
        cron_schedule="0 3 1 * *",
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="The whole dataset again, over all crawls: what changed settings or libraries make new.",
    )
    def schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        names = [crawl.name for crawl in registered(Workspace(workspace))]
        if not names or _without_partition(Workspace(workspace), context.instance):
            return dg.SkipReason("no crawl yet, or the sensor new_crawls has not seen one")
        return dg.RunRequest(tags=range_tags(names[0], names[-1]))

    return schedule


def _without_partition(workspace: Workspace, instance: dg.DagsterInstance) -> list[str]:
    there = set(instance.get_dynamic_partitions(str(crawls.name)))
    return [crawl.name for crawl in registered(workspace) if crawl.name not in there]


def _folders(root: str) -> dict[str, str]:
    filesystem, path = fsspec.core.url_to_fs(root)
    filesystem.invalidate_cache()
    if not filesystem.isdir(path):
        raise InputError(f"${CRAWLS_FOLDER} = {root!r} is no folder")
    return {
        entry["name"].rstrip("/").rsplit("/", 1)[-1]: filesystem.unstrip_protocol(entry["name"])
        for entry in filesystem.ls(path, detail=True)
        if entry["type"] == "directory"
    }


def _sizes(location: str) -> dict[str, int]:
    """Bytes of every crawl file; none where the folder holds no crawl file yet."""
    try:
        return {relative: size for relative, (_, size) in listed([location]).items()}
    except InputError:
        return {}
