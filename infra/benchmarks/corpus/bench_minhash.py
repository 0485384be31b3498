"""MinHash signatures on one core: texts in memory to the hashes of 14 bands of 8 functions over word 5-grams."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from bench import HERE, ROOT, Bench, Row, one_thread

PAGES = 2_000  # the first of the crawl file
STEPS = {"datatrove": 8, "sha1": 4, "xxhash": 4}  # a peer takes every so many of them


def measure(bench: Bench) -> Iterator[Row]:
    """The peers take every fourth or eighth of the same pages, for they are slow; rates are pages a second."""
    path, pages = texts(bench), int(PAGES * bench.scale)
    python, script = bench.peer("datatrove"), "peer_minhash_datatrove.py"

    def ours() -> dict[str, Any]:
        return bench.run(sys.executable, "ours_minhash.py", path, pages)

    pairs = bench.in_turn(ours, lambda: bench.run(python, script, path, pages, STEPS["datatrove"]))
    told = {"peer": "datatrove 0.10.1, MinhashDedupSignature", "peer_n": pairs.peer[0]["n"]}
    yield pairs.row("minhash", "pages/s", 50, **told)
    for name, hashing in (("minhash.datasketch", "sha1"), ("minhash.datasketch_xxhash", "xxhash")):
        peer = partial(bench.run, sys.executable, "peer_minhash_datasketch.py", path, pages, STEPS[hashing], hashing)
        pairs = bench.in_turn(ours, peer)
        told = {"peer": f"datasketch, MinHash.generator, {hashing}, word 5-grams", "peer_n": pairs.peer[0]["n"]}
        yield pairs.row(name, "pages/s", 10, **told)


def texts(bench: Bench) -> Path:
    """The pages of warc/part-00, extracted once."""
    folder = bench.work / "texts"
    if not (folder / "warc.parquet").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, HERE / "ours_texts.py", bench.data, folder]
        subprocess.run(command, check=True, cwd=ROOT, env=one_thread())
    return folder / "warc.parquet"
