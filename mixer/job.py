"""The whole job as one list of steps, in the order in which they can run. Dagster draws the same graph.

Steps are named by module and function, so that listing them (the command's help, a dry run) imports nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import groupby
from typing import Any

from mixer.lineage import asked
from pipelines.corpus import Corpus, Report
from pipelines.optional import wanted


@dataclass(frozen=True, slots=True)
class Step:
    """One stage. `scope`: once a crawl, once in all, or once a search round."""

    name: str
    module: str
    scope: str  # crawl, corpus, round

    @property
    def command(self) -> str:
        return self.name.replace("_", "-")

    def run(self, corpus: Corpus, *arguments: Any) -> Report:
        report: Report = getattr(import_module(self.module), f"run_{self.name}")(corpus, *arguments)
        return report


STEPS = (
    Step("targets", "pipelines.targets", "corpus"),
    Step("documents", "pipelines.ingest", "crawl"),
    Step("edits", "pipelines.stages", "crawl"),
    Step("signals", "pipelines.stages", "crawl"),
    Step("dialects", "pipelines.stages", "crawl"),
    Step("embeddings", "pipelines.vectors.stages", "crawl"),
    Step("scores", "pipelines.stages", "crawl"),
    Step("contamination", "pipelines.stages", "crawl"),
    Step("verdicts", "pipelines.stages", "crawl"),
    Step("signatures", "pipelines.stages", "crawl"),
    Step("duplicates", "pipelines.duplicates.groups", "crawl"),
    Step("repeats", "pipelines.duplicates.repeats", "crawl"),
    Step("centroids", "pipelines.fitting", "corpus"),
    Step("fine_clusters", "pipelines.vectors.stages", "crawl"),
    Step("semantic", "pipelines.duplicates.semantic", "crawl"),
    Step("tokenizer", "pipelines.fitting", "corpus"),
    Step("tokens", "pipelines.stages", "crawl"),
    Step("clusters", "pipelines.clusters", "corpus"),
    Step("pools", "pipelines.pooling", "corpus"),
    Step("evaluations", "pipelines.pooling", "corpus"),
    Step("round", "mixer.stages", "round"),
    Step("predictor", "mixer.stages", "round"),
    Step("mixture", "mixer.stages", "corpus"),
    Step("comparison", "mixer.stages", "corpus"),
    Step("dataset", "mixer.stages", "corpus"),
)


def planned(corpus: Corpus) -> Iterator[tuple[Step, tuple[Any, ...]]]:
    """Every (step, arguments) of the job: crawls in order, and each round's proxies before its predictor."""
    numbers = range(1, len(corpus.settings.search.rounds) + 1)
    there = [step for step in STEPS if wanted(corpus.settings, step.name)]
    for scope, steps in groupby(there, key=lambda step: step.scope):
        if scope == "crawl":
            yield from ((step, (crawl.name,)) for step in steps for crawl in corpus.crawls)
        elif scope == "round":
            listed = list(steps)
            yield from ((step, (number,)) for number in numbers for step in listed)
        else:
            yield from ((step, ()) for step in steps)


def build(corpus: Corpus) -> list[Report]:
    """Run the whole job, or what is missing of it; one that could not end for want of a target does not begin."""
    asked(corpus.settings)
    return [step.run(corpus, *arguments) for step, arguments in planned(corpus)]
