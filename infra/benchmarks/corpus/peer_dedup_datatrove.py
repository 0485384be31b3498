"""datatrove's four MinHash stages on JSONL shards, two workers: `peer_dedup_datatrove.py WORK OUT FILE...`

Writes the `id` numbers of what is kept to OUT.
"""

import gzip
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.typeshelper import Languages
from watched import Watched


def main(work: Path, out: Path, files: list[str]) -> None:
    warm_up = work / "few"
    warm_up.mkdir(parents=True, exist_ok=True)
    with open(files[0], encoding="utf-8") as lines:
        (warm_up / "few.jsonl").write_text("".join(next(lines) for _ in range(20)))
    run(warm_up, work / "warm-up", 1)
    source = Path(files[0]).parent
    shutil.rmtree(work / "out", ignore_errors=True)
    started = time.perf_counter()
    with Watched() as watched:
        run(source, work / "out", len(files))
    seconds = time.perf_counter() - started
    lines = [
        line
        for path in (work / "out" / "kept").rglob("*.jsonl.gz")
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
    np.save(out, np.array(sorted(int(json.loads(line)["id"]) for line in lines)))
    count = sum(Path(file).read_bytes().count(b"\n") for file in files)
    print(json.dumps({"seconds": seconds, "n": count, "peak_bytes": watched.peak}))


def run(source: Path, folder: Path, tasks: int) -> None:
    config = MinhashConfig()
    reader = JsonlReader(str(source))
    signatures, buckets, removed = (str(folder / name) for name in ("signatures", "buckets", "removed"))
    stages = (
        ([reader, MinhashDedupSignature(signatures, config, Languages.english)], tasks),
        ([MinhashDedupBuckets(signatures, buckets, config=config)], config.num_buckets),
        ([MinhashDedupCluster(buckets, removed, config=config)], 1),
        ([reader, MinhashDedupFilter(removed), JsonlWriter(str(folder / "kept"))], tasks),
    )
    for number, (pipeline, count) in enumerate(stages):
        LocalPipelineExecutor(
            pipeline,
            tasks=count,
            workers=min(2, count),
            logging_dir=str(folder / f"logs-{number}"),
            start_method="fork",
        ).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
