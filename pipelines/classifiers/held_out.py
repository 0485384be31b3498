"""How good a classifier is on examples that it was not trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 10  # of the reliability table


def measures(probabilities: npt.NDArray[np.float32], labels: Sequence[str], truth: Sequence[str]) -> dict[str, Any]:
    """Of probabilities [n, labels]: accuracy, each label's precision, recall, F1 and areas, the confusion.

    `roc_auc` is the area under true over false positives (0.5 is chance), `pr_auc` the average precision (chance is
    the label's share); both are null for a label that no example or every example has.
    """
    from sklearn.metrics import (
        average_precision_score,
        confusion_matrix,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    names = list(labels)
    of = np.array([names.index(label) for label in truth])
    said = probabilities.argmax(axis=1)
    each = precision_recall_fscore_support(of, said, labels=range(len(names)), zero_division=0)
    by_label = {}
    for number, name in enumerate(names):
        mine = of == number
        both = 0 < mine.sum() < len(mine)
        by_label[name] = {
            "examples": int(mine.sum()),
            **{key: _rounded(values[number]) for key, values in zip(("precision", "recall", "f1"), each, strict=False)},
            "roc_auc": _rounded(roc_auc_score(mine, probabilities[:, number])) if both else None,
            "pr_auc": _rounded(average_precision_score(mine, probabilities[:, number])) if both else None,
        }
    confusion = confusion_matrix(of, said, labels=range(len(names)))
    return {
        "accuracy": _rounded((of == said).mean()),
        "labels": by_label,
        "confusion": {"labels": names, "rows_are_true": confusion.tolist()},
    }


def calibration(probabilities: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """Reliability in BINS equal bins [Guo et al. 2017]: stated probability against how often it was right.

    `error` is the expected calibration error, the mean gap weighted by the examples in a bin.
    """
    place = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    bins, gap = [], 0.0
    for number in range(BINS):
        mine = place == number
        if mine.any():
            stated, true = float(probabilities[mine].mean()), float(right[mine].mean())
            gap += abs(stated - true) * int(mine.sum()) / len(right)
            bins.append({"from": number / BINS, "examples": int(mine.sum()), "stated": stated, "right": true})
    return {"error": _rounded(gap), "bins": [{key: _rounded(value) for key, value in one.items()} for one in bins]}


def threshold_for_precision(
    probabilities: npt.NDArray[np.float32], right: npt.NDArray[np.bool_], target: float
) -> dict[str, Any]:
    """The lowest limit at and above which at least `target` of the examples are right; null where none is."""
    order = np.argsort(-probabilities, kind="stable")
    sorted_values, hits = probabilities[order], np.cumsum(right[order])
    last = np.concatenate([sorted_values[1:] != sorted_values[:-1], [True]])  # equal values stay or go together
    good = np.flatnonzero(last & (hits >= target * np.arange(1, len(order) + 1)))
    limit = float(sorted_values[good[-1]]) if len(good) else None
    return {"target_precision": target, **_at(probabilities, right, limit)}


def threshold_for_share(
    probabilities: npt.NDArray[np.float32], right: npt.NDArray[np.bool_], share: float
) -> dict[str, Any]:
    """The limit at and above which about `share` of the examples lie."""
    place = max(1, round(share * len(probabilities))) - 1
    return {"keep_share": share, **_at(probabilities, right, float(np.sort(probabilities)[::-1][place]))}


def _at(probabilities: npt.NDArray[np.float32], right: npt.NDArray[np.bool_], limit: float | None) -> dict[str, Any]:
    if limit is None:
        return {"threshold": None, "kept": 0.0, "precision": None, "recall": 0.0}
    kept = probabilities >= np.float32(limit)
    return {
        "threshold": limit,
        "kept": _rounded(kept.mean()),
        "precision": _rounded(right[kept].mean()),
        "recall": _rounded((kept & right).sum() / max(1, right.sum())),
    }


def _rounded(value: Any) -> Any:
    return round(float(value), 5) if isinstance(value, float | np.floating) else value
