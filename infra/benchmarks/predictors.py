"""Rank correlation of predictors on public tables, by number of runs: what takes over where trees see too few.

    python infra/benchmarks/predictors.py [--data ../shared/data]

Prints a table and writes predictors.json beside this file. About three minutes on one core.
"""

import argparse
import csv
import datetime
import json
import platform
from pathlib import Path

import numpy as np

from mixer.predictors.kriging import FittedKriging
from mixer.predictors.trees import LightGBM
from mixer.predictors.validation import rank_correlation

NUM_RUNS = (12, 16, 21, 32, 48, 64, 112)
SUBSETS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    tables = parser.parse_args().data / "tables"
    rows = []
    for name, weights, losses in problems(tables):
        for num in NUM_RUNS:
            if num <= len(losses) - 20:
                rows.append({"table": name, "runs": num, **compared(weights, losses, num)})
                print(rows[-1], flush=True)
    told = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, one core",
        "subsets": SUBSETS,
        "measure": "Spearman on the runs left out, mean over subsets",
        "rows": rows,
    }
    (Path(__file__).parent / "predictors.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def compared(weights: np.ndarray, losses: np.ndarray, num: int) -> dict[str, float]:
    """Mean rank correlation of each predictor, fitted on `num` random runs, on all others."""
    found: dict[str, list[float]] = {"kriging": [], "lightgbm": []}
    for seed in range(SUBSETS):
        order = np.random.default_rng(seed).permutation(len(losses))
        seen, unseen = order[:num], order[num:]
        fits = {"kriging": FittedKriging(weights[seen], losses[seen])}
        if num >= 48:  # the recipe's own limits leave fewer runs no tree
            fits["lightgbm"] = LightGBM(min_runs=0).fit(weights[seen], losses[seen])
        for name, fitted in fits.items():
            found[name].append(rank_correlation(fitted.mean(weights[unseen]), losses[unseen]))
    return {name: round(float(np.mean(values)), 4) for name, values in found.items() if values}


def problems(tables: Path) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(name, weights, losses): RegMix's Pile-CC and mean of 13 losses at 1M, Olmix's mean bits per byte."""
    weights, _ = _table(tables / "regmix" / "train_mixture_1m.csv")
    losses, names = _table(tables / "regmix" / "train_pile_loss_1m.csv")
    pile = next(index for index, name in enumerate(names) if "pile_cc" in name)
    ratios, _ = _table(tables / "olmix" / "dclm_ratios.csv")
    metrics, _ = _table(tables / "olmix" / "dclm_metrics.csv")
    return [
        ("RegMix 1M, Pile-CC", _shares(weights), losses[:, pile]),
        ("RegMix 1M, mean of 13", _shares(weights), losses.mean(axis=1)),
        ("Olmix dclm, mean of all", _shares(ratios), metrics.mean(axis=1)),
    ]


def _table(path: Path) -> tuple[np.ndarray, list[str]]:
    """Numeric columns, rows in the order of the key column (`index` or `run`)."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    key = next(name for name in ("index", "run") if name in rows[0])
    names = [name for name in rows[0] if name not in ("", "index", "run", "name") and _is_number(rows[0][name])]
    rows.sort(key=lambda row: row[key])
    return np.array([[float(row[name]) for name in names] for row in rows]), names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shares(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(axis=1, keepdims=True)


if __name__ == "__main__":
    main()
