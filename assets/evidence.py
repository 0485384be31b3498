"""What the mixer's stages left that is worth showing: trials of a round, the mixture, the final comparison."""

import math
from typing import Any

from pipelines.corpus import Corpus


def round_of(stage: str) -> int:
    """The number in a report's stage, `round 2` or `predictor 2`."""
    return int(stage.rpartition(" ")[2])


def trials(corpus: Corpus, number: int) -> list[dict[str, Any]]:
    """A round's candidates with what was predicted before it and measured in it, best first; null: it failed."""
    rows = [row for row in rounds(corpus, number) if row["round"] == number]
    shown = [{name: value for name, value in row.items() if name not in ("name", "round")} for row in rows]
    # Those of fewer tokens come last: their losses are not to be compared.
    return sorted(shown, key=lambda row: (row["loss"] is None, -row.get("fidelity", 1), row["loss"], row["index"]))


def rounds(corpus: Corpus, last: int) -> list[dict[str, Any]]:
    """The candidates of rounds 1 to `last` in the order in which they were proposed; null: it failed."""
    from mixer import lineage as mixing
    from mixer.place import reading
    from mixer.searches import search_of

    with reading(mixing.search(corpus)) as folder:
        search = search_of(corpus, folder)
        found = {number: search.proposals.outcomes(number) for number in range(1, last + 1)}
    several = bool(search.settings.fidelities)
    return [
        {
            "name": one.trial.name,
            "round": number,
            "index": index,
            "loss": _number(one.loss),
            "predicted": _number(one.predicted),
            "spread": _number(one.spread),
            "seconds": sum(result.seconds for result in one.results),
            "error": one.error,
            **({"fidelity": one.fidelity} if several else {}),
            "weights": list(one.trial.schedule.weights),
        }
        for number, outcomes in found.items()
        for index, one in enumerate(outcomes)
    ]


def ended(corpus: Corpus) -> list[dict[str, Any]]:
    """Every trial of a finished search, of random search and of the rules, as report.json has them."""
    from mixer import lineage as mixing

    return list(corpus.workspace.read_json(*mixing.search(corpus).steps, "report.json")["trials"])


def fit(corpus: Corpus, number: int) -> dict[str, Any]:
    """What was believed after a round: the predictor's cross-validation, the mixture it would have recommended."""
    from mixer import lineage as mixing

    return dict(corpus.workspace.read_json(*mixing.search(corpus).steps, "fits", f"round-{number}.json"))


def fits(corpus: Corpus, last: int) -> list[dict[str, Any]]:
    """What was believed after rounds 1 to `last`."""
    return [fit(corpus, number) for number in range(1, last + 1)]


def mixtures(corpus: Corpus) -> tuple[list[str], dict[str, list[float]]]:
    """(names of the clusters, weights of the mixture found, of its phases where it has several, and of the others)."""
    from mixer.stages import read_mixture

    found = read_mixture(corpus)
    parts = found["schedule"]["phases"]
    phases = {f"search, phase {number}": part["weights"] for number, part in enumerate(parts, 1)}
    return list(found["clusters"]), {
        "search": found["weights"],
        **(phases if len(parts) > 1 else {}),
        **found["others"],
    }


def comparison(corpus: Corpus) -> dict[str, dict[str, Any]]:
    """Mixture -> losses by seed, mean and spread on the target's final split; the found one is `search`."""
    from mixer.stages import read_comparison

    return dict(read_comparison(corpus)["mixtures"])


def _number(value: float) -> float | None:
    """A plain number, since Dagster stores none of NumPy's; null where there is none."""
    return float(value) if math.isfinite(value) else None
