"""Where a map over parts runs: on the pool of processes here, as a Beam pipeline on any other runner.

Every map of the program is this one call. A local one needs none of what a pipeline brings, for its parts neither meet
nor move: Beam would hand the whole list to the same pool, .09 s of one core later, and its import takes seconds. What
meets by key, `pipelines.beam.run_group_by`, is a pipeline everywhere.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipelines.settings import Engine
from pipelines.workers import shared_pool


def run_map(
    task: Callable[[str], Any],
    items: Sequence[str],
    engine: Engine,
    done: Callable[[str, Any], None] = lambda item, result: None,
) -> None:
    """Call `task(item)` for every item; `done(item, result)` as they finish, where the runner is local."""
    if not items:
        return
    if engine.runner == "local":
        shared_pool(engine.workers).run(task, items, done)
        return
    from pipelines.beam import map_on_runner  # Beam takes seconds to import

    map_on_runner(task, items, engine)


@contextmanager
def scratch_folder(stage: str) -> Iterator[Path]:
    """A folder for what tasks leave each other; a runner on other machines needs it on a shared disk (TMPDIR)."""
    folder = Path(tempfile.mkdtemp(prefix=f"sirdar-{stage}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
