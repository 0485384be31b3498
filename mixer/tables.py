"""Mixtures and what came of them as two CSV files, in Olmix's layout: for runs of other programs here, and ours there.

    ratios.csv    run, [name, index,] one column a bucket: its weight in that run
    metrics.csv   run, [name, index,] one column a metric; lower is better unless said otherwise

Rows are joined on `run`, or on `index` where there is no such column, as in RegMix's tables. Weights are renormalised
where rounding left their sum within 2 % of 1. A row without a partner is left out and counted, and an empty metric is
not a number; everything else that is wrong is an error with its file and line.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mixer import evidence
from mixer.candidates import Floats
from mixer.strategy import History
from pipelines.errors import InputError

KEYS = ("run", "index")
ABOUT = frozenset({"", "run", "name", "index"})
SUM_TOLERANCE = 0.02  # three decimals of dozens of weights


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """weights (runs, buckets), rows that sum to 1; metrics by name, (runs,) each; names and keys in their order.

    `unpaired`: rows of one file that the other has not.
    """

    keys: tuple[str, ...]
    buckets: tuple[str, ...]
    weights: Floats
    metrics: dict[str, Floats]
    unpaired: int = 0


def read_tables(ratios: Path, metrics: Path) -> Runs:
    """Runs of two CSV files; InputError naming file, line and column of what cannot be."""
    key = _key_of(ratios, metrics)
    buckets, weights = _table(ratios, key, empty_allowed=False)
    names, values = _table(metrics, key, empty_allowed=True)
    for run, row in weights.items():
        line, numbers = row
        wrong = next((i for i, value in enumerate(numbers) if not (math.isfinite(value) and value >= 0)), None)
        if wrong is not None:
            raise InputError(f"{ratios}, line {line}, {buckets[wrong]}: {numbers[wrong]} is no weight; 0 or more is")
        if abs(math.fsum(numbers) - 1) > SUM_TOLERANCE:
            raise InputError(
                f"{ratios}, line {line}: the weights of run {run} sum to {math.fsum(numbers):.6g}, not to 1; are these"
                " all the buckets, no other columns, and shares, not percent?"
            )
    if len(buckets) < 2:
        raise InputError(f"{ratios} has {len(buckets)} buckets; a mixture is of at least two")
    both = [run for run in weights if run in values]
    if not both:
        raise InputError(f"{ratios} and {metrics} share no {key}; the first are {_some(weights)} and {_some(values)}")
    rows = np.array([weights[run][1] for run in both])
    columns = np.array([values[run][1] for run in both])
    return Runs(
        keys=tuple(both),
        buckets=buckets,
        weights=rows / rows.sum(axis=1, keepdims=True),
        metrics={name: columns[:, index] for index, name in enumerate(names)},
        unpaired=len(weights) + len(values) - 2 * len(both),
    )


def read_amounts(path: Path) -> dict[str, float]:
    """How much there is of each bucket, in any unit: a CSV file with a heading, then a line `bucket,amount` each."""
    head = _head(path)
    if len(head) != 2:
        raise InputError(f"{path} has {len(head)} columns; two are read, the bucket and how much there is of it")
    if _is_number(head[1]):
        raise InputError(f"{path} begins with {','.join(head)!r}; put a heading before it, such as bucket,amount")
    found: dict[str, float] = {}
    for line, (name, text) in _lines(path, head):
        bucket = name.strip()
        amount = _number(text, path, line, head[1], empty_allowed=False)
        if not (math.isfinite(amount) and amount > 0):
            raise InputError(f"{path}, line {line}: {bucket} = {amount}; an amount is more than 0")
        if bucket in found:
            raise InputError(f"{path}, line {line}: {bucket} was there already")
        found[bucket] = amount
    return found


def written(runs: Runs) -> tuple[bytes, bytes]:
    """ratios.csv and metrics.csv in Olmix's layout; what `read_tables` reads back to the last digit."""
    ratios = [[key, index, *row] for index, (key, row) in enumerate(zip(runs.keys, runs.weights.tolist(), strict=True))]
    columns = [values.tolist() for values in runs.metrics.values()]
    metrics = [[key, index, *(column[index] for column in columns)] for index, key in enumerate(runs.keys)]
    return _csv(["run", "index", *runs.buckets], ratios), _csv(["run", "index", *runs.metrics], metrics)


def of_history(history: History, buckets: Sequence[str], keys: Sequence[str] = ()) -> Runs:
    """A search's trials as a table; their keys, or numbers where none are given. The objective is `objective`."""
    names = tuple(keys) or tuple(str(index) for index in range(len(history)))
    return Runs(names, tuple(buckets), history.weights, {**history.tasks, "objective": history.losses})


def of_outcomes(outcomes: Sequence[evidence.Outcome], buckets: Sequence[str], shares: Sequence[float] = ()) -> Runs:
    """A search's runs of all tokens, each once, under these names of the buckets; with `shares` of phases, a column
    for each phase of each bucket.
    """
    kept = {one.trial.key: one for one in outcomes if math.isfinite(one.loss) and one.fidelity == 1}
    history = evidence.history(list(kept.values()), len(buckets), len(shares) or 1)
    if not shares:
        return of_history(history, buckets, tuple(kept))
    # Shares of all tokens, so that a row sums to 1 and a column is what one phase reads of a bucket.
    rows = history.weights * np.repeat(shares, len(buckets))
    columns = [f"phase {phase} {name}" for phase in range(1, len(shares) + 1) for name in buckets]
    return of_history(replace(history, weights=rows), columns, tuple(kept))


# ---------------------------------------------------------------------------------------------------------
# CSV

_Rows = dict[str, tuple[int, list[float]]]


def _key_of(ratios: Path, metrics: Path) -> str:
    heads = [_head(path) for path in (ratios, metrics)]
    for key in KEYS:
        if all(key in head for head in heads):
            return key
    raise InputError(f"{ratios} and {metrics} share no column {' or '.join(KEYS)} that says which run a row is of")


def _head(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if len(head) == 1 and (other := next((mark for mark in ";\t" if mark in head[0]), "")):
        raise InputError(f"{path} has {other!r} between its columns; write it with commas, and points in its numbers")
    return [name.strip() for name in head]


def _table(path: Path, key: str, *, empty_allowed: bool) -> tuple[tuple[str, ...], _Rows]:
    """Column names, and for each run its line and numbers; NaN for what is empty."""
    head = _head(path)
    twice = sorted({name for name in head if head.count(name) > 1})
    if twice:
        raise InputError(f"{path} has two columns {', '.join(twice)}")
    names = tuple(name for name in head if name not in ABOUT)
    rows: _Rows = {}
    for line, cells in _lines(path, head):
        row = dict(zip(head, cells, strict=True))
        run = row[key].strip()
        if run in rows:
            raise InputError(f"{path}, line {line}: run {run} was on line {rows[run][0]} already")
        rows[run] = (line, [_number(row[name], path, line, name, empty_allowed) for name in names])
    if not rows:
        raise InputError(f"{path} has no rows")
    return names, rows


def _lines(path: Path, head: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) after the heading; InputError for a line of another length, or one that is no CSV."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            next(reader, None)
            for cells in reader:
                if cells and len(cells) != len(head):
                    raise InputError(f"{path}, line {reader.line_num}: {len(cells)} cells, {len(head)} columns")
                if cells:
                    yield reader.line_num, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _number(text: str, path: Path, line: int, name: str, empty_allowed: bool) -> float:
    if empty_allowed and text.strip().lower() in ("", "nan", "none", "null"):
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{path}, line {line}, {name}: {text!r} is no number") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _csv(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow(["" if isinstance(cell, float) and math.isnan(cell) else cell for cell in row])
    return out.getvalue().encode()


def _some(rows: Mapping[str, Any]) -> str:
    return ", ".join(list(rows)[:3])
