"""A crawl file to filtered, deduplicated text: ours through a workspace against datatrove's FineWeb recipe."""

import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench import Bench, Row
from bench_ingest import beginning

PEER_RESPONSES = 200
TRAFILATURA_RESPONSES = 600
OUR_RESPONSES = 2000


def measure(bench: Bench) -> Iterator[Row]:
    """With each extractor at the peer's size, where what is done once a run weighs most, and once at ours."""
    few, some, many, warm = (
        beginning(bench, max(20, int(count * bench.scale)))
        for count in (PEER_RESPONSES, TRAFILATURA_RESPONSES, OUR_RESPONSES, 20)
    )
    folder = bench.work / "warc_to_dedup"
    sizes = {few: PEER_RESPONSES, some: TRAFILATURA_RESPONSES, many: OUR_RESPONSES}

    def ours(file: Path, extractor: str) -> dict[str, Any]:
        told = bench.run(sys.executable, "ours_warc_to_dedup.py", file, warm, folder / "ours", extractor)
        return {**told, "n": sizes[file]}

    def peer() -> dict[str, Any]:
        told = bench.run(bench.peer("datatrove"), "peer_warc_to_dedup.py", few, warm, folder / "peer")
        return {**told, "n": sizes[few]}  # it keeps no count of the pages that it could not decode

    notes = {"peer": "datatrove 0.10.1, examples/fineweb.py without its language filter", "peer_n": PEER_RESPONSES}
    for name, file in (("resiliparse", many), ("resiliparse.same_n", few)):
        pairs = bench.in_turn(partial(ours, file, "resiliparse"), peer)
        yield pairs.row(f"warc_to_dedup.{name}", "responses/s", 20.0, **notes)

    def bare() -> dict[str, Any]:
        told = bench.run(sys.executable, "peer_bare_reading.py", some, warm, "trafilatura", "detected")
        return {**told, "seconds": told["wall_seconds"]}

    pairs = bench.in_turn(partial(ours, some, "trafilatura"), bare)
    yield pairs.row("warc_to_dedup.trafilatura", "responses/s", 0.9, peer="bare loop of fastwarc and trafilatura")
