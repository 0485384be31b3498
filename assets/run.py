"""The job `build_dataset` in this process, on the record of a Dagster instance inside the workspace.

What `sirdar demo` runs: the same definitions as the UI shows, without a step's process start (0.0 s against
0.0 s a step, see EXECUTOR), with the caller's progress bars and none of Dagster's log on the terminal.
"""

from pathlib import Path

import dagster as dg

from assets.automation import build_dataset
from assets.crawl import registration
from assets.definitions import build
from assets.partitions import crawls, range_tags
from assets.resources import watched
from pipelines.corpus import Progress
from pipelines.crawls import registered
from pipelines.errors import InputError, SirdarError
from pipelines.store import Workspace

HOME = ".dagster"
# For one person on one machine: `dagster dev` brings the daemon, which runs what is queued.
INSTANCE = """\
telemetry:
  enabled: false
nux:
  enabled: false
concurrency:
  pools:
    granularity: op
    default_limit: 1
  runs:
    max_concurrent_runs: 1
run_monitoring:
  enabled: true
  free_slots_after_run_end_seconds: 60
"""


def materialise(workspace: str, progress: Progress) -> bool:
    """Run the whole job over all crawls of a local workspace; errors come as the stage raised them.

    A blocking claim that does not hold is a SirdarError which names it.
    """
    found = registered(Workspace(workspace))
    if not found:
        raise InputError(f"no crawl in {workspace}; register one first: sirdar build INPUT... --workspace {workspace}")
    job = build(workspace).resolve_job_def(build_dataset.name)
    with opened(workspace) as instance, watched(workspace, progress):
        there = set(instance.get_dynamic_partitions(str(crawls.name)))
        new = [crawl for crawl in found if crawl.name not in there]
        instance.add_dynamic_partitions(str(crawls.name), [crawl.name for crawl in new])
        for crawl in new:
            instance.report_runless_asset_event(registration(crawl))
        try:
            ended = job.execute_in_process(
                instance=instance,
                tags=range_tags(found[0].name, found[-1].name),
                run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
        except dg.DagsterError as error:  # a blocking claim, whose own type is not public
            raise SirdarError(f"{' '.join(str(error).split())}; the claim's numbers are in the UI") from error
    return ended.success


def opened(workspace: str) -> dg.DagsterInstance:
    """The instance inside a local workspace, made where there is none."""
    home = Workspace(workspace).local(HOME)
    home.mkdir(parents=True, exist_ok=True)
    settings = home / "dagster.yaml"
    if not settings.exists():
        settings.write_text(INSTANCE, encoding="utf-8")
    return dg.DagsterInstance.from_config(str(home))


def home(workspace: str) -> Path:
    return Workspace(workspace).local(HOME)
