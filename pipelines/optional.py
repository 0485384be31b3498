"""Stages that are there only where the settings ask for them."""

from collections.abc import Callable
from typing import Any

from pipelines.quality import rules
from pipelines.settings import Settings

OPTIONAL: dict[str, Callable[[Settings], bool]] = {
    "dialects": lambda settings: bool(dialects_of(settings)),
    "scores": lambda settings: bool(settings.scores),
    "contamination": lambda settings: bool(settings.decontamination.sets),
    "embeddings": lambda settings: by_topic(settings) or any(score.kind == "linear" for score in settings.scores),
    "centroids": lambda settings: by_topic(settings),
    "repeats": lambda settings: bool(settings.repeats.units),
    "semantic": lambda settings: settings.semantic.threshold > 0,
}


# What asks for each, for those who run one that is not there.
ASKED_BY = {
    "dialects": "a quality.preset that reads other pipelines' signals does (curator, dolma, dclm)",
    "scores": "scores names classifiers",
    "contamination": "decontamination.sets or tasks name tests",
    "embeddings": "clusters.by = topic does, or a score of kind linear",
    "centroids": "clusters.by = topic does",
    "repeats": "repeats.units says what is cut",
    "semantic": "semantic.threshold above 0 does",
}


def wanted(settings: Settings, name: str) -> bool:
    """Whether the job has this stage under the settings."""
    return name not in OPTIONAL or OPTIONAL[name](settings)


def by_topic(settings: Settings) -> bool:
    """Whether clusters are fitted on vectors; else they are the crawl's folders."""
    return settings.clusters.by == "topic"


def dialects_of(settings: Settings) -> dict[str, Any]:
    """The dialects that the preset reads, with their versions."""
    from pipelines.quality import dialects as columns

    return dict(columns.needed(rules.columns(settings.quality)))
