"""Rows of the corpus benchmark: ours and a peer's on the same input, timed in turn in the same run.

Each timed thing is a process of its own, so that neither warms the other's caches; it prints one JSON object with
`seconds`, `n` and whatever else the row quotes. Peers run in environments of their own, made once from nothing.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]

PEERS = {
    "datatrove": (
        "datatrove==0.10.1", "spacy==3.8.18", "nltk", "xxhash<4", "tldextract", "pyahocorasick", "trafilatura",
        "resiliparse", "fastwarc", "warcio", "ftfy", "numpy", "orjson",
        "faust-cchardet", "python-magic", "fasteners", "lxml_html_clean", "pyarrow<26", "regex", "tokenizers",
    ),
    "curator": ("nemo-curator==1.4.0",),
    "text-dedup": ("text-dedup==0.4.0",),
    # Without the pins of its S3 client pip looks for versions that fit for longer than the benchmark takes.
    "dolma": ("dolma==1.2.1", "numpy<2", "boto3==1.28.17", "aiobotocore==2.5.4", "botocore==1.31.17"),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One figure. `ours` and `peer` are medians in `unit`; `ratio` says how many times better ours is."""

    name: str
    ours: float | None
    peer: float | None
    ratio: float | None
    unit: str
    n: int
    repeats: int
    spread: tuple[float, float] | None = None  # of the ratio, over the repeats
    must: str = ""  # what the row has to reach
    reached: bool | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Bench:
    """Where the inputs are, where scratch files go, and how often things are repeated."""

    data: Path  # the folder with warc/, domains/, evals/
    work: Path
    repeats: int = 5
    scale: float = 1.0  # of the inputs, for a quick look

    def peer(self, name: str) -> Path:
        """The Python of a peer's environment, made when it is not there."""
        folder = Path(os.environ.get("SIRDAR_PEERS", self.work / "peers")) / name
        python = folder / "bin" / "python"
        if not (folder / "installed").exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS[name]], check=True)
            (folder / "installed").touch()
        return python

    def run(self, python: Path | str, script: str, *arguments: Any) -> dict[str, Any]:
        """One process on one core's threads: `script` beside this file, its last line of output as JSON."""
        told = subprocess.run(
            [str(python), str(HERE / script), *map(str, arguments)],
            check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=one_thread(),
        )  # fmt: skip
        return dict(json.loads(told.stdout.strip().splitlines()[-1]))

    def in_turn(self, ours: Callable[[], dict[str, Any]], peer: Callable[[], dict[str, Any]]) -> "Pairs":
        """Both, one after the other, `repeats` times; rates are `n` a second."""
        pairs = [(ours(), peer()) for _ in range(self.repeats)]
        return Pairs([one for one, _ in pairs], [other for _, other in pairs])


@dataclass(frozen=True)
class Pairs:
    ours: Sequence[Mapping[str, Any]]
    peer: Sequence[Mapping[str, Any]]

    def row(self, name: str, unit: str, must: float, **notes: Any) -> Row:
        """The rates' medians, and the ratio's median and range over the pairs."""
        ours, peer = ([one["n"] / one["seconds"] for one in side] for side in (self.ours, self.peer))
        ratios = sorted(a / b for a, b in zip(ours, peer, strict=True))
        middle = statistics.median(ratios)
        return Row(
            name, statistics.median(ours), statistics.median(peer), middle, unit, self.ours[0]["n"], len(ratios),
            (ratios[0], ratios[-1]), f">= {must:g} x", middle >= must, notes,
        )  # fmt: skip


def one_thread() -> dict[str, str]:
    """The environment in which libraries take one thread each."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMBA_NUM_THREADS")
    return {**os.environ, **dict.fromkeys(names, "1"), "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}


def timed(work: Callable[[], int], clock: Callable[[], float] = time.process_time, **also: Any) -> None:
    """Run it once and print what `Bench.run` reads; `work` returns how many things it did.

    Seconds are this process's CPU time, which other work on the machine hardly changes; `clock` is the wall's for work
    that has children.
    """
    started, wall = clock(), time.perf_counter()
    count = work()
    seconds, wall = clock() - started, time.perf_counter() - wall
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "wall_seconds": wall, "n": count, "peak_bytes": peak, **also}))


def machine() -> str:
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.processor(),
    )
    return f"{model}, {os.cpu_count()} cores"


def commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return told.stdout.strip()


def merged(path: Path, rows: Sequence[Row], date: str) -> None:
    """Write the rows into the list at `path`, in the place of older ones of the same name."""
    found = {row["name"]: row for row in (json.loads(path.read_text()) if path.exists() else [])}
    stamp = {"machine": machine(), "date": date, "commit": commit()}
    found |= {row.name: {**asdict(row), **stamp} for row in rows}
    path.write_text(json.dumps(list(found.values()), indent=1) + "\n", encoding="utf-8")
