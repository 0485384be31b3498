"""Rows of the mixture benchmark, and the cells they are made of: one seed's figure each, kept so that a run resumes.

A cell's key holds a digest of the code that made it; changed code makes new cells, and old ones are never read again.
"""

import hashlib
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
MEASURED = ("mixer/predictors", "mixer/strategies")
ALSO = ("mixer/candidates.py", "mixer/strategy.py", "infra/benchmarks/mixer/simulation.py")


@dataclass(frozen=True)
class Row:
    """One figure: the mean over seeds, and their standard deviation (None: there is one)."""

    name: str
    value: float | None
    unit: str
    n: int  # runs or evaluations that it was made from
    seeds: int
    spread: float | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, values: Sequence[float], unit: str, n: int, **notes: Any) -> "Row":
        spread = statistics.stdev(values) if len(values) > 1 else None
        return cls(name, statistics.fmean(values), unit, n, len(values), spread, notes)


class Bench:
    """Where the tables are, how many seeds are asked for, and the cells known."""

    def __init__(self, data: Path, work: Path, seeds: int) -> None:
        self.data, self.seeds = data, seeds
        self._path = work / "mixer-cells.jsonl"
        self._code = _digest()
        self._known: dict[str, Any] = {}
        if self._path.exists():
            whole, _, torn = self._path.read_text(encoding="utf-8").rpartition("\n")
            cells = [json.loads(line) for line in whole.splitlines()]
            self._known = {cell["key"]: cell["value"] for cell in cells}
            if torn:
                self._path.write_text(whole + "\n" if whole else "", encoding="utf-8")

    def cell(self, key: str, work: Callable[[], Any]) -> Any:
        """What `work` gives, or gave for this key and this code."""
        whole = f"{key}@{self._code}"
        if whole not in self._known:
            value = work()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"key": whole, "value": value}) + "\n")
            self._known[whole] = value
        return self._known[whole]

    def over_seeds(self, key: str, work: Callable[[int], Any]) -> list[Any]:
        """A cell for each seed, from 0."""
        return [self.cell(f"{key}/seed-{seed}", lambda seed=seed: work(seed)) for seed in range(self.seeds)]


def merged(path: Path, rows: Iterable[Row], date: str) -> None:
    """Write the rows into the list at `path`, in the place of older ones of the same name."""
    found = {row["name"]: row for row in (json.loads(path.read_text()) if path.exists() else [])}
    stamp = {"machine": machine(), "date": date, "commit": commit()}
    found |= {row.name: {**asdict(row), **stamp} for row in rows}
    path.write_text(json.dumps(list(found.values()), indent=1) + "\n", encoding="utf-8")


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.processor())
    return f"{model}, {os.cpu_count()} cores"


def commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip()


def _digest() -> str:
    files = [path for folder in MEASURED for path in sorted((ROOT / folder).glob("*.py"))]
    files += [ROOT / name for name in ALSO] + sorted(HERE.glob("*.py"))
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files), digest_size=6).hexdigest()
