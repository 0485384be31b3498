"""Cost per document at 1x, 4x and 16x the input, and what a second worker brings against a second bare process.

The input grows by copies of the same pages, so that each unit has the pages' sizes and kinds and differs in nothing but
what is measured. A copy has record ids, addresses and, letter for letter, long words of its own: no text, n-gram or
word of length is met a second time, so nothing learnt from one unit helps with the next, which on a real crawl it does.
"""

import gzip
import random
import re
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from bench import Bench, Row

from pipelines.reading.framed import Framed
from pipelines.reading.warc import read_warc

UNIT = 500  # responses in a file
SIZES = (1, 4, 16)
WARM = 2  # further units, which a run begins with and which are not timed
EVERY = 16  # of the crawl's responses, so that the unit is of both files
VOWELS = "aeiouy"

_SHOWN = re.compile(rb">[^<>]+")
_WORD = re.compile(rb"(?<![&a-zA-Z])[a-zA-Z]{5,}")
_IDENTITY = re.compile(rb"(?mi)^(WARC-Record-ID: <urn:uuid:|WARC-Target-URI: https?://)[^\r\n]{8}")


def measure(bench: Bench) -> Iterator[Row]:
    """Sizes in turn, so that a slow minute hits all of them alike; CPU time, since one worker is one process."""
    files = units(bench, max(SIZES) + WARM)
    rounds = [{size: one(bench, 1, files, size) for size in SIZES} for _ in range(bench.repeats)]
    for size in SIZES[1:]:
        ratios = sorted(cost(found[size]) / cost(found[SIZES[0]]) for found in rounds)
        middle = statistics.median(ratios)
        firsts = sorted(cost(found[SIZES[0]]) for found in rounds)
        noise = max(firsts[-1] / statistics.median(firsts) - 1, 1 - firsts[0] / statistics.median(firsts))
        yield Row(
            f"scaling.input_{size}x",
            statistics.median(1e3 * cost(found[size]) for found in rounds),
            1e3 * statistics.median(firsts),
            middle,
            "ms/document",
            rounds[0][size]["n"],
            len(rounds),
            (ratios[0], ratios[-1]),
            "<= 1 + spread",
            middle <= 1 + noise,
            {"peer": "ours at 1x", "spread_at_1x": noise, "clock": "CPU time of one process"},
        )
    yield workers(bench, files)


def workers(bench: Bench, files: list[Path]) -> Row:
    """Two workers against two bare processes with half of the files each, both against one worker, by the clock."""
    gains = []
    for _ in range(bench.repeats):
        alone, together = one(bench, 1, files, SIZES[1]), one(bench, 2, files, SIZES[1])
        with ThreadPoolExecutor(2) as both:
            first, other = ((files[begin:], SIZES[1] // 2, f"from-{begin}") for begin in (0, SIZES[1] // 2))
            bare = [both.submit(one, bench, 1, *half) for half in (first, other)]
            halves = [process.result() for process in bare]
        bare_rate = sum(half["n"] for half in halves) / max(half["wall_seconds"] for half in halves)
        rate = alone["n"] / alone["wall_seconds"]
        gains.append((together["n"] / together["wall_seconds"] / rate, bare_rate / rate))
    ratios = sorted(ours / peer for ours, peer in gains)
    middle = statistics.median(ratios)
    return Row(
        "scaling.workers_2",
        statistics.median(ours for ours, _ in gains),
        statistics.median(peer for _, peer in gains),
        middle,
        "x one worker",
        together["n"],
        len(gains),
        (ratios[0], ratios[-1]),
        ">= 0.9 x",
        middle >= 0.9,
        {"peer": "two bare processes, until both have ended"},
    )


def one(bench: Bench, workers: int, files: list[Path], size: int, name: str = "run") -> dict[str, Any]:
    """The first `size` of the files, after the last two of them have warmed up what is timed."""
    place = bench.work / "scaling" / name
    return bench.run(sys.executable, "ours_scaling.py", workers, place, *files[-WARM:], *files[:size])


def cost(found: dict[str, Any]) -> float:
    return float(found["seconds"]) / int(found["n"])


# ---------------------------------------------------------------------------------------------------------
# Units


def units(bench: Bench, count: int) -> list[Path]:
    """Files of the same UNIT responses, each in a copy of its own."""
    size = max(20, int(UNIT * bench.scale))
    folder = bench.work / f"units-{size}"
    paths = [folder / f"unit-{number:02d}.warc.gz" for number in range(count)]
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        pages = [page for number, page in enumerate(responses(bench)) if number % EVERY == 0][:size]
        for number, path in enumerate(paths):
            path.write_bytes(b"".join(gzip.compress(edited(page, number), 6) for page in pages))
    return paths


def responses(bench: Bench) -> Iterator[bytes]:
    """The responses of both crawl files, without the 32 MB one."""
    for name in ("part-00.warc.gz", "part-01.warc.gz"):
        data = (bench.data / "warc" / name).read_bytes()
        for item in read_warc(BytesIO(data), size=len(data), compressed=True, max_record_bytes=1 << 20, offset=0):
            if isinstance(item, Framed) and item.record_type == "response" and not item.error:
                yield gzip.decompress(data[item.offset : item.next_offset])


def edited(record: bytes, number: int) -> bytes:
    """The record as the `number`-th unit has it, as long as before; unit 0 has its own words."""
    head, _, rest = record.partition(b"\r\n\r\n")
    served, _, body = rest.partition(b"\r\n\r\n")
    head = _IDENTITY.sub(rb"\g<1>%08x" % number, head)
    letters = spelling(number)
    body = _SHOWN.sub(lambda shown: _WORD.sub(lambda word: word[0].translate(letters), shown[0]), body)
    return b"\r\n\r\n".join((head, served, body))


def spelling(number: int) -> bytes:
    """A table of letters for letters: vowels for vowels, others for others."""
    draw = random.Random(number)
    table: dict[str, str] = {}
    for letters in (VOWELS, "".join(letter for letter in ascii_lowercase if letter not in VOWELS)):
        table |= dict(zip(letters, letters if number == 0 else draw.sample(letters, len(letters)), strict=True))
    old, new = ("".join(side) for side in (table.keys(), table.values()))
    return bytes.maketrans((old + old.upper()).encode(), (new + new.upper()).encode())
