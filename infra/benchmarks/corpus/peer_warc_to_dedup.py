"""The same with datatrove's classes, in the order and with the settings of its FineWeb example (`examples/fineweb.py`),
one task at a time in this process: `peer_warc_to_dedup.py FILE WARM FOLDER`. Without the language filter, whose model
would be downloaded; ours keeps all languages too."""

import shutil
import sys
import time
from pathlib import Path

from bench import timed
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
    URLFilter,
)
from datatrove.pipeline.readers import JsonlReader, WarcReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.hashing import HashConfig
from datatrove.utils.typeshelper import Languages

CONFIG = MinhashConfig(
    hash_config=HashConfig(hash_fc="sha1", precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5
)


def run(file: str, folder: Path) -> int:
    shutil.rmtree(folder, ignore_errors=True)
    source, place = Path(file), str(folder)
    steps = [
        WarcReader(str(source.parent), glob_pattern=source.name, default_metadata={"dump": "crawl"}),
        URLFilter(use_integrated_lists=False),
        Trafilatura(favour_precision=True, timeout=60.0),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
        JsonlWriter(f"{place}/filtered"),
    ]
    reader = JsonlReader(f"{place}/filtered")
    signature = MinhashDedupSignature(f"{place}/signatures", config=CONFIG, language=Languages.english)
    buckets = MinhashDedupBuckets(f"{place}/signatures", f"{place}/buckets", config=CONFIG)
    cluster = MinhashDedupCluster(f"{place}/buckets", f"{place}/remove", config=CONFIG)
    filtered = [reader, MinhashDedupFilter(f"{place}/remove"), JsonlWriter(f"{place}/kept")]
    done = None
    for name, pipeline, tasks in (
        ("read", steps, 1), ("signatures", [reader, signature], 1), ("buckets", [buckets], CONFIG.num_buckets),
        ("cluster", [cluster], 1), ("filter", filtered, 1),
    ):  # fmt: skip
        stats = LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=f"{place}/logs/{name}").run()
        done = done or stats
    return int(done.stats[0].stats["documents"].total)


if __name__ == "__main__":
    file, warm, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    run(warm, folder)
    timed(lambda: run(file, folder), time.perf_counter)
    shutil.rmtree(folder, ignore_errors=True)
