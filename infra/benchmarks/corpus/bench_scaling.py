"""Cost per document at 1x, 4x and 16x the input, and what a second worker brings against a second bare process."""

import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

from bench import Bench, Row

from pipelines.reading.framed import Framed
from pipelines.reading.warc import read_warc

UNIT = 500  # responses in a file
SIZES = (1, 4, 16)


def measure(bench: Bench) -> Iterator[Row]:
    """Sizes in turn, so that a slow minute hits all of them alike."""
    files = units(bench, max(SIZES))
    rounds = [{size: one(bench, 1, files[:size]) for size in SIZES} for _ in range(bench.repeats)]
    for size in SIZES[1:]:
        ratios = sorted(cost(found[size]) / cost(found[SIZES[0]]) for found in rounds)
        middle = statistics.median(ratios)
        ours = statistics.median(1e3 * cost(found[size]) for found in rounds)
        first = statistics.median(1e3 * cost(found[SIZES[0]]) for found in rounds)
        spread = statistics.median(cost(found[SIZES[0]]) for found in rounds)
        noise = max(abs(cost(found[SIZES[0]]) / spread - 1) for found in rounds)
        yield Row(
            f"scaling.input_{size}x",
            ours,
            first,
            middle,
            "ms/document",
            rounds[0][size]["n"],
            len(rounds),
            (ratios[0], ratios[-1]),
            "<= 1 + spread",
            middle <= 1 + noise,
            {"peer": "ours at 1x", "spread_at_1x": noise},
        )
    yield workers(bench, files[: SIZES[1]])


def workers(bench: Bench, files: list[Path]) -> Row:
    """Two workers against two bare processes with half of the files each, both against one worker."""
    gains = []
    for _ in range(bench.repeats):
        alone, together = one(bench, 1, files), one(bench, 2, files)
        with ThreadPoolExecutor(2) as both:
            halves = list(both.map(lambda half: one(bench, 1, files[half::2], f"half-{half}"), (0, 1)))
        bare = sum(half["n"] / half["seconds"] for half in halves)
        rate = alone["n"] / alone["seconds"]
        gains.append((together["n"] / together["seconds"] / rate, bare / rate))
    ratios = sorted(ours / peer for ours, peer in gains)
    middle = statistics.median(ratios)
    return Row(
        "scaling.workers_2",
        statistics.median(ours for ours, _ in gains),
        statistics.median(peer for _, peer in gains),
        middle,
        "x one worker",
        len(files) * UNIT,
        len(gains),
        (ratios[0], ratios[-1]),
        ">= 0.9 x",
        middle >= 0.9,
        {"peer": "two bare processes"},
    )


def one(bench: Bench, workers: int, files: list[Path], name: str = "run") -> dict[str, Any]:
    return bench.run(sys.executable, "ours_scaling.py", workers, bench.work / "scaling" / name, *files)


def cost(found: dict[str, Any]) -> float:
    return float(found["seconds"]) / int(found["n"])


def units(bench: Bench, count: int) -> list[Path]:
    """Files of UNIT responses each, dealt out of both crawl files in turn, so that all are alike."""
    folder = bench.work / "units"
    paths = [folder / f"unit-{number:02d}.warc.gz" for number in range(count)]
    size = max(20, int(UNIT * bench.scale))
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as opened:
            streams = [opened.enter_context(path.open("wb")) for path in paths]
            for number, member in zip(range(size * count), responses(bench), strict=False):
                streams[number % count].write(member)
    return paths


def responses(bench: Bench) -> Iterator[bytes]:
    """The responses of both crawl files as they are stored, a gzip member each; not the 32 MB one."""
    for name in ("part-00.warc.gz", "part-01.warc.gz"):
        data = (bench.data / "warc" / name).read_bytes()
        for item in read_warc(BytesIO(data), size=len(data), compressed=True, max_record_bytes=1 << 20, offset=0):
            if isinstance(item, Framed) and item.record_type == "response" and not item.error:
                yield data[item.offset : item.next_offset]
