"""What a finished search says: the mixture found beside those that it must beat, and the report behind it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from mixer import evidence, phases
from mixer.candidates import Floats
from mixer.evidence import Outcome
from mixer.prediction import Fitted
from mixer.trial import Schedule


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The mixture found, as a schedule over the dataset's budget, and those that it must beat."""

    schedule: Schedule
    predicted: float  # loss at the proxies' size and tokens
    spread: float
    others: dict[str, Schedule]  # natural, uniform, nearest, entropy, random
    report: Path

    @classmethod
    def of(
        cls,
        weights: Floats,
        fitted: Fitted | None,
        others: Mapping[str, Floats],
        budget: int,
        report: Path,
        shares: Sequence[float] = (),
    ) -> Self:
        """Of weights (buckets,), with what was fitted for them (None: nothing is predicted).

        With `shares` of the tokens, the weights are those of all phases, (phases * buckets,).
        """
        predicted, spread = math.nan, math.nan
        if fitted is not None:
            predicted, spread = (float(values[0]) for values in fitted.predict(weights[np.newaxis]))
        return cls(
            schedule=phases.schedule(weights, shares, budget),
            predicted=predicted,
            spread=spread,
            others={name: phases.schedule(row, shares, budget) for name, row in others.items()},
            report=report,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "schedule": self.schedule.to_json(),
            "predicted": evidence.finite(self.predicted),
            "spread": evidence.finite(self.spread),
            "others": {name: schedule.to_json() for name, schedule in self.others.items()},
        }


def reported(
    found: Recommendation,
    *,
    token_counts: Sequence[int],
    parts: Mapping[str, Sequence[Outcome]],
    fits: Sequence[Mapping[str, Any]],
    unit: str,
) -> dict[str, Any]:
    """The report's findings; `parts`: outcomes of the rules, of random search, of the strategy; `unit`: of losses."""
    weights = found.schedule.weights
    epochs = np.array(weights) * found.schedule.tokens / np.array(token_counts)
    return evidence.of_search(
        recommended={
            "weights": list(weights),
            **phases.told(found.schedule),
            "epochs": epochs.tolist(),
            "predicted": evidence.finite(found.predicted),
            "spread": evidence.finite(found.spread),
        },
        others=found.others,
        parts=parts,
        fits=fits,
        unit=unit,
    )
