"""What the mixer's stages left that is worth showing: trials of a round, the mixture, the final comparison."""

import math
from typing import Any

from pipelines.corpus import Corpus


def round_of(stage: str) -> int:
    """The number in a report's stage, `round 2` or `predictor 2`."""
    return int(stage.rpartition(" ")[2])


def trials(corpus: Corpus, number: int) -> list[dict[str, Any]]:
    """A round's candidates with what was predicted before it and measured in it, best first; null: not there."""
    import pyarrow.parquet as pq

    from mixer import journal, objectives
    from mixer import lineage as mixing
    from mixer.runs import measured

    stage = mixing.search(corpus)
    folder = stage.workspace.local(*stage.steps)
    objective = objectives.objective_of(corpus, objectives.SEARCH)
    # By weights: a mixture that an earlier round trained already has its line there.
    finished = {entry.trial.schedule.weights: entry.result for entry in journal.read(folder / "journal.jsonl")}
    rows = []
    for row in pq.read_table(folder / "candidates" / f"round-{number}.parquet").to_pylist():
        result = finished.get(tuple(row["weights"]))
        loss = measured(result, objective) if result else math.nan
        rows.append(
            {
                "index": row["index"],
                "loss": loss if math.isfinite(loss) else None,
                "predicted": row["predicted"],
                "spread": row["spread"],
                "seconds": result.seconds if result else None,
                "error": result.error if result else "not trained",
                "weights": row["weights"],
            }
        )
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
