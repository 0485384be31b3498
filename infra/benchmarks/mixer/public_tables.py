"""The public tables of finished runs: RegMix, Olmix, ADMIRE. See the README of the data folder for their licences."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Runs:
    """weights (runs, buckets), rows that sum to 1; losses by name, (runs,) each, lower is better."""

    name: str
    buckets: tuple[str, ...]
    weights: np.ndarray
    losses: dict[str, np.ndarray]

    @property
    def mean(self) -> np.ndarray:
        return np.mean(list(self.losses.values()), axis=0)


def regmix(data: Path, part: str) -> Runs:
    """`train-1m` (512 runs), `test-1m` and `test-60m` (256, the same mixtures); losses of 13 texts."""
    split, size = part.split("-")
    folder = data / "tables" / "regmix"
    ratios = _rows(folder / f"{split}_mixture_{size}.csv", "index")
    metrics = _rows(folder / f"{split}_pile_loss_{size}.csv", "index")
    shorter = {name: name.removeprefix("metric/the_pile_").removesuffix("_val_loss") for name in metrics[0]}
    buckets = {name: name.removeprefix("train_the_pile_") for name in ratios[0] if name.startswith("train_")}
    return Runs(
        f"regmix-{part}",
        tuple(buckets.values()),
        _shares(ratios, tuple(buckets)),
        {shorter[name]: _column(metrics, name) for name in metrics[0] if name.startswith("metric/")},
    )


def regmix_raw_weights(data: Path, part: str) -> np.ndarray:
    """The weights as written, to three decimals: what the official notebook fits."""
    split, size = part.split("-")
    rows = _rows(data / "tables" / "regmix" / f"{split}_mixture_{size}.csv", "index")
    return np.array([[float(value) for name, value in row.items() if name.startswith("train_")] for row in rows])


def olmix(data: Path, part: str) -> Runs:
    """`dclm` (127 runs, 24 topics) or `full_reuse_update_5_seed_0` (64 runs, 22 columns); bits per byte."""
    folder = data / "tables" / "olmix"
    ratios, metrics = (_rows(folder / f"{part}_{kind}.csv", "run") for kind in ("ratios", "metrics"))
    about = ("", "run", "name", "index")
    buckets = tuple(name for name in ratios[0] if name not in about)
    tasks = tuple(name for name in metrics[0] if name not in about)
    losses = {name: _column(metrics, name) for name in tasks}
    return Runs(f"olmix-{part.split('_')[0]}", buckets, _shares(ratios, buckets), losses)


SIZES = {"Qwen2.5-0.5B": 95.35, "Qwen2.5-3B": 258.87, "Qwen2.5-7B": 537.47}  # mean train_time of the table


def admire(data: Path) -> dict[str, Runs]:
    """Fine-tuning runs by model; losses are one minus a score. Mixtures of larger models are among the smaller's.

    `mean` is over all 17 metrics. The table's own average is too, but for three runs of the smallest model it leaves a
    metric out that is 0 for them (as for a hundred others), which puts them 0.02 and seven deviations above all.
    """
    with (data / "tables" / "admire-bayesopt" / "admire_ift_runs.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    buckets = tuple(name for name in rows[0] if name.startswith("ratio_"))
    scores = tuple(name for name in rows[0] if name.startswith("metric_") and not name.startswith("metric_avg"))
    found = {}
    for model in SIZES:
        mine = [row for row in rows if row["model"] == model]
        losses = {name.removeprefix("metric_"): 1 - _column(mine, name) for name in scores}
        found[model] = Runs(f"admire-{model}", buckets, _shares(mine, buckets), losses)
    return found


def _rows(path: Path, key: str) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return sorted(csv.DictReader(file), key=lambda row: row[key])


def _column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows])


def _shares(rows: list[dict[str, str]], names: tuple[str, ...]) -> np.ndarray:
    weights = np.array([[float(row[name]) for name in names] for row in rows])
    return weights / weights.sum(axis=1, keepdims=True)
