"""The engine: maps over parts and group-bys over batches, as Beam pipelines. The only file that imports Beam.

Documents never travel through a PCollection one by one: the elements of a map are part names, those of a
group-by NumPy or Arrow batches. Locally Beam runs in process, and maps go to a pool of processes without it
(pipelines/engine.py), because Beam's own `multi_processing` mode waits for ever when a worker is killed and
splits work statically. On any other runner the DoFn calls the function itself.
"""

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

logging.disable(logging.WARNING)  # importing Beam warns, on the root logger, of clouds that are not installed
import apache_beam as beam  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402
from apache_beam.runners.portability.fn_api_runner import FnApiRunner  # noqa: E402

logging.disable(logging.NOTSET)

from pipelines import settings  # noqa: E402

# DoFns are pickled even in process. What need not be waits here, and so do failures: Beam would bury them under
# its own frames and lose their type.
_LOCAL: dict[str, "_Local"] = {}


@dataclass(frozen=True)
class _Local:
    emit: Callable[..., Any]
    reduce: Callable[..., Any]
    failures: list[BaseException] = field(default_factory=list)


@contextmanager
def _held(local: _Local) -> Iterator[str]:
    """A key under which DoFns of this process find `local`; a failure that they left is raised at the end."""
    key = uuid.uuid4().hex
    _LOCAL[key] = local
    try:
        yield key
    finally:
        del _LOCAL[key]
    if local.failures:
        raise local.failures[0]


def map_on_runner(task: Callable[[str], Any], items: Sequence[str], engine: settings.Engine) -> None:
    """Call `task(item)` for every item on the settings' runner; a local map is `pipelines.engine.run_map`'s."""
    with beam.Pipeline(engine.runner, options=_options(engine)) as pipeline:
        pipeline | beam.Create(list(items)) | beam.Reshuffle() | beam.Map(task)


def run_group_by(
    emit: Callable[[str], Iterable[tuple[int, Any]]],
    reduce: Callable[[int, list[Any]], Any],
    items: Sequence[str],
    engine: settings.Engine,
) -> None:
    """Batches by key: `emit(item)` yields (key, batch), `reduce(key, batches)` writes what it finds.

    All of one call is held in memory by a local runner: callers make passes (`engine.memory_bytes`).
    Batches of a key arrive in any order.
    """
    if engine.runner != "local":
        with beam.Pipeline(engine.runner, options=_options(engine)) as pipeline:
            batches = pipeline | beam.Create(list(items)) | beam.Reshuffle() | beam.FlatMap(emit)
            batches | beam.GroupByKey() | beam.MapTuple(lambda key, found: reduce(key, list(found)))
        return
    with (
        _held(_Local(emit, reduce)) as held,
        beam.Pipeline(runner=FnApiRunner(), options=_options(engine)) as pipeline,
    ):
        batches = pipeline | beam.Create(list(items)) | beam.ParDo(_Emit(held))
        batches | beam.GroupByKey() | beam.ParDo(_Reduce(held))


class _Emit(beam.DoFn):  # type: ignore[misc]
    def __init__(self, key: str) -> None:
        self.key = key

    def process(self, item: str) -> Iterator[tuple[int, Any]]:
        local = _LOCAL[self.key]
        if local.failures:
            return
        try:
            yield from local.emit(item)
        except (Exception, KeyboardInterrupt) as error:
            local.failures.append(error)


class _Reduce(beam.DoFn):  # type: ignore[misc]
    def __init__(self, key: str) -> None:
        self.key = key

    def process(self, group: tuple[int, Iterable[Any]]) -> None:
        local = _LOCAL[self.key]
        if local.failures:  # nothing may be written of a group that is not whole
            return
        try:
            local.reduce(group[0], list(group[1]))
        except (Exception, KeyboardInterrupt) as error:
            local.failures.append(error)


def _options(engine: settings.Engine) -> PipelineOptions:
    logging.getLogger("apache_beam").setLevel(logging.ERROR)
    return PipelineOptions(list(engine.runner_options))
