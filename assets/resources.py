"""The workspace as a Dagster resource: it opens the corpus and says where its progress goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging import Logger

import dagster as dg

from pipelines import corpus
from pipelines.corpus import Corpus, Progress, Report
from pipelines.store import Workspace

EVERY_SECONDS = 30.0  # a line of the run's log while a stage works

# Who watches which workspace in this process: `sirdar demo` draws its bars out of an in-process run.
_watching: dict[str, Progress] = {}


class CorpusResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """A workspace: the folder or URL that holds all stages, its crawls and its settings."""

    workspace: str

    def open(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Corpus:
        """The corpus under the settings that lie in the workspace."""
        progress = _watching.get(self.workspace) or Logged(context.log)
        return corpus.opened(Workspace(self.workspace), progress)


@contextmanager
def watched(workspace: str, progress: Progress) -> Iterator[None]:
    """Runs of this process tell `progress` what they do in the workspace."""
    _watching[workspace] = progress
    try:
        yield
    finally:
        del _watching[workspace]


class Logged:
    """Progress in the run's log, now and then: an event is a row of a database."""

    def __init__(self, log: Logger) -> None:
        self._log = log
        self._name, self._done, self._total, self._rows, self._told = "", 0, 0, 0, 0.0

    def begin(self, stage: str, crawl: str, *, total: int, done: int) -> None:
        self._name, self._done, self._total = f"{stage} {crawl}".strip(), done, total
        self._rows, self._told = 0, time.monotonic()

    def note(self, text: str) -> None:
        """Of a trial; the journal has it, and a run's log would be full of them."""

    def advance(self, count: int, rows: int) -> None:
        self._done, self._rows = self._done + count, self._rows + rows
        if time.monotonic() - self._told >= EVERY_SECONDS:
            self._told = time.monotonic()
            self._log.info("%s: %d of %d, %d rows", self._name, self._done, self._total, self._rows)

    def end(self, report: Report) -> None:
        """The materialisation says it."""
