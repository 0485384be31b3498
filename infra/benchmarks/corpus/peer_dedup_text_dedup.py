"""text-dedup's MinHash on JSONL shards, two processes: `peer_dedup_text_dedup.py WORK OUT FILE...`

Bands and rows are datatrove's, else its defaults. Writes the `id` numbers of what is kept to OUT.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1", TQDM_DISABLE="1")
import numpy as np
from datasets import load_from_disk
from text_dedup.minhash import main as deduplicate
from watched import Watched


def main(work: Path, out: Path, files: list[str]) -> None:
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    os.environ["HF_DATASETS_CACHE"] = str(work / "cache")
    few = work / "few.jsonl"
    with open(files[0], encoding="utf-8") as lines:
        few.write_text("".join(next(lines) for _ in range(20)))
    run([str(few)], work / "warm-up", work / "cache")
    started = time.perf_counter()
    with Watched() as watched:
        run(files, work / "kept", work / "cache")
    seconds = time.perf_counter() - started
    np.save(out, np.array(sorted(int(one) for one in load_from_disk(str(work / "kept"))["id"])))
    count = sum(Path(file).read_bytes().count(b"\n") for file in files)
    print(json.dumps({"seconds": seconds, "n": count, "peak_bytes": watched.peak}))


def run(files: list[str], output: Path, cache: Path) -> None:
    given = ["--path", "json", "--split", "train", "--cache_dir", cache, "--output", output, "--column", "text",
             "--ngram", 5, "--num_perm", 112, "--b", 14, "--r", 8, "--num_proc", 2, "--batch_size", 10_000,
             "--data_files", files[0] if len(files) == 1 else str(Path(files[0]).parent / "*.jsonl")]  # fmt: skip
    deduplicate([str(one) for one in given], standalone_mode=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
