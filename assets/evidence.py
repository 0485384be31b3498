"""What the mixer's stages left that is worth showing: trials of a round, the mixture, the final comparison."""

import math
from typing import Any

from pipelines.corpus import Corpus


def round_of(stage: str) -> int:
    """The number in a report's stage, `round 2` or `predictor 2`."""
    return int(stage.rpartition(" ")[2])


def trials(corpus: Corpus, number: int) -> list[dict[str, Any]]:
    """A round's candidates with what was predicted before it and measured in it, best first; null: it failed."""
    from mixer import lineage as mixing
    from mixer.searches import search_of

    stage = mixing.search(corpus)
    found = search_of(corpus, stage.workspace.local(*stage.steps)).outcomes(number)
    rows = [
        {
            "index": index,
            "loss": _number(one.loss),
            "predicted": _number(one.predicted),
            "spread": _number(one.spread),
            "seconds": sum(result.seconds for result in one.results),
            "error": one.error,
            "weights": list(one.trial.schedule.weights),
        }
        for index, one in enumerate(found)
    ]
    return sorted(rows, key=lambda row: (row["loss"] is None, row["loss"], row["index"]))


def fit(corpus: Corpus, number: int) -> dict[str, Any]:
    """What was believed after a round: the predictor's cross-validation, the mixture it would have recommended."""
    from mixer import lineage as mixing

    return dict(corpus.workspace.read_json(*mixing.search(corpus).steps, "fits", f"round-{number}.json"))


def mixtures(corpus: Corpus) -> tuple[list[str], dict[str, list[float]]]:
    """(names of the clusters, weights of the mixture found and of the others)."""
    from mixer.stages import read_mixture

    found = read_mixture(corpus)
    return list(found["clusters"]), {"search": found["weights"], **found["others"]}


def comparison(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Mixture -> losses by seed, mean and spread on the target's final split; the found one is `search`."""
    from mixer.stages import read_comparison

    return dict(read_comparison(corpus)["mixtures"])


def _number(value: float) -> float | None:
    """A plain number, since Dagster stores none of NumPy's; null where there is none."""
    return float(value) if math.isfinite(value) else None
