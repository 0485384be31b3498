"""Pictures of the search, its mixture and the comparison: what the report shows, as far as it is after each round."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from assets import evidence
from mixer.report import series
from pipelines.corpus import Corpus, Report

MAX_LINES = 8  # clusters whose weights are drawn over rounds

Draw = Callable[[Any, Corpus, Report], str | None]  # on axes; returns the title, or None: there is nothing to draw


def _losses(axes: Any, corpus: Corpus, report: Report) -> str | None:
    found = series.whole(evidence.trials(corpus, evidence.round_of(report.stage)))
    losses = [trial["loss"] for trial in found if trial["loss"] is not None]
    axes.plot(range(1, len(losses) + 1), losses, marker=".", linewidth=0.8)
    axes.set_xlabel("trial, best first", fontsize=8)
    return "loss of this round's proxies" if losses else None


def _predicted(axes: Any, corpus: Corpus, report: Report) -> str | None:
    """Every round up to this one; the first has no predictions."""
    found = series.predicted_and_measured(evidence.rounds(corpus, evidence.round_of(report.stage)))
    if not found:
        return None
    for number, pairs in found.items():
        axes.scatter(*zip(*pairs, strict=True), s=12, label=f"round {number}")
    axes.axline((axes.get_xlim()[0],) * 2, slope=1, linewidth=0.6, color="grey")
    axes.set_xlabel("predicted before training", fontsize=8)
    axes.set_ylabel("measured", fontsize=8)
    axes.legend(fontsize=7)
    return "predicted and measured loss"


def _rank_correlation(axes: Any, corpus: Corpus, report: Report) -> str | None:
    """By cross-validation over all runs so far, and of what each round proposed."""
    tested, proposed = series.rank_correlations(evidence.fits(corpus, evidence.round_of(report.stage)))
    for name, points in (("cross-validated", tested), ("of proposals", proposed)):
        if points:
            axes.plot(*zip(*points, strict=True), marker="o", markersize=4, linewidth=0.8, label=name)
    if not tested and not proposed:
        return None
    axes.axhline(0, linewidth=0.6, color="grey")
    _whole_numbers(axes, "round", [int(number) for number, _ in [*tested, *proposed]])
    axes.legend(fontsize=7)
    return "rank correlation of the predictor over rounds"


def _best_so_far(axes: Any, corpus: Corpus, report: Report) -> str | None:
    """The search's own, up to this round; after the last one random search and the rules beside it."""
    last = len(corpus.settings.search.rounds)
    ended = report.stage == "mixture"
    trials = evidence.ended(corpus) if ended else evidence.rounds(corpus, evidence.round_of(report.stage))
    mine = series.best_so_far(series.of_search(trials, last))
    if not mine:
        return None
    random = series.best_so_far(series.of_random(trials, last)) if ended else []
    for name, points in (("random", random), (corpus.settings.search.strategy, mine)):
        if points:
            axes.step(*zip(*points, strict=True), where="post", linewidth=1.0, label=name)
    for name, loss in series.rules(trials).items():
        axes.axhline(loss, linewidth=0.6, linestyle="--", color="grey")
        axes.annotate(name, (1.0, loss), xycoords=("axes fraction", "data"), fontsize=6, ha="right", va="bottom")
    axes.set_xlabel("trial", fontsize=8)
    axes.legend(fontsize=7)
    return "lowest loss so far, by trial"


def _weights_over_rounds(axes: Any, corpus: Corpus, report: Report) -> str | None:
    """What would be recommended after each round: its largest clusters, by their numbers."""
    fits = evidence.fits(corpus, evidence.round_of(report.stage))
    rows = np.array([fit["recommended"] for fit in fits])
    numbers = [fit["round"] for fit in fits]
    for cluster in np.argsort(-rows[-1], kind="stable")[:MAX_LINES]:
        axes.plot(numbers, rows[:, cluster], marker="o", markersize=4, linewidth=0.8, label=f"cluster {cluster}")
    _whole_numbers(axes, "round", numbers)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7)
    return "weights recommended after each round"


def _weights(axes: Any, corpus: Corpus, report: Report) -> str | None:
    found = evidence.mixtures(corpus)[1]
    width = 0.8 / len(found)
    for number, (name, weights) in enumerate(found.items()):
        axes.bar(np.arange(len(weights)) + number * width, weights, width, label=name)
    axes.set_xlabel("cluster", fontsize=8)
    axes.legend(fontsize=7)
    return "weights of the mixtures"


def _comparison(axes: Any, corpus: Corpus, report: Report) -> str | None:
    found = {name: one for name, one in evidence.comparison(corpus).items() if one["mean"] is not None}
    for place, name in enumerate(sorted(found, key=lambda name: found[name]["mean"])):
        losses = [loss for loss in found[name]["losses"] if loss is not None]
        axes.plot([place] * len(losses), losses, "o", markersize=4, label=name)
    axes.set_xticks(range(len(found)), sorted(found, key=lambda name: found[name]["mean"]))
    axes.set_ylabel("loss on the final split", fontsize=8)
    return "models trained on each mixture, one dot a seed" if found else None


DRAWN: Mapping[str, Mapping[str, Draw]] = {
    "round": {"plot": _losses, "best_so_far": _best_so_far},
    "predictor": {
        "plot": _predicted,
        "rank_correlation": _rank_correlation,
        "weights_over_rounds": _weights_over_rounds,
    },
    "mixture": {"plot": _weights, "best_so_far": _best_so_far},
    "comparison": {"plot": _comparison},
}


def _whole_numbers(axes: Any, across: str, numbers: Sequence[int]) -> None:
    axes.set_xticks(sorted(set(numbers)))
    axes.set_xlabel(across, fontsize=8)
