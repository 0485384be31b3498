"""Quality filters on one core: texts in memory to verdicts, C4's line edits and all signals among the work."""

import sys
from collections.abc import Iterator
from functools import partial

from bench import Bench, Row
from bench_minhash import texts

PAGES = 2_000  # the first of the crawl file, in all its languages
STEP = 7  # the peer takes every so many of them


def measure(bench: Bench) -> Iterator[Row]:
    """Cold and later parts against the peer's pipeline, in which a dropped text goes no further; then every filter."""
    path, pages = texts(bench), int(PAGES * bench.scale)
    python, script = bench.peer("datatrove"), "peer_filters.py"
    told = {
        "ours": "C4's line edits, every signal, FineWeb's rules",
        "peer": "datatrove 0.10.1: GopherRepetition, GopherQuality, C4 without terminal punctuation, FineWeb",
    }
    cold, later = "the vocabulary is learnt anew", "the other pages of the file were read before"
    drops, every = "a dropped text goes no further", "every filter sees every text, as every signal is computed here"
    for name, of_ours, of_peer, how in (
        ("filters", (), (), f"{cold}; {drops}"),
        ("filters.later_parts", ("later",), (), f"{later}; {drops}"),
        ("filters.every_rule", (), ("all",), f"{cold}; {every}"),
    ):
        pairs = bench.in_turn(
            partial(bench.run, sys.executable, "ours_filters.py", path, pages, *of_ours),
            partial(bench.run, python, script, path, pages, STEP, *of_peer),
        )
        yield pairs.row(name, "pages/s", 30, **told, how=how, peer_n=pairs.peer[0]["n"])
