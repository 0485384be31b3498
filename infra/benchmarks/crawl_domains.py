"""How well clusters find the crawl's natural domains again, and what each quality rule keeps of them.

Domains are those of the packages that the pages came from, so an encyclopedic label, not a topic model's.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import lineage
from pipelines.buckets import in_buckets
from pipelines.clusters import read_buckets, read_clusters
from pipelines.corpus import Corpus
from pipelines.fitting import kept_parts
from pipelines.quality import rules
from pipelines.quality.signals import SIGNALS
from pipelines.records import document_id
from pipelines.settings import Clusters, Quality
from pipelines.vectors import cluster, embed

SEEDS = (42, 1, 2, 3, 4)
MAX_ENCODED = 1500  # documents for the slow encoder: 20 to 40 a second of one core
NO_DOMAIN = "-"
MIN_WORDS = 50
# What keeps technical pages that FineWeb's thresholds, tuned on prose of the web, drop; each on top of the last.
RELAXED: dict[str, dict[str, Any]] = {
    "as the preset": {},
    "gopher_below_alpha_threshold 0.6": {"limits": {"gopher_below_alpha_threshold": 0.6}},
    "and min_language_score 0.3": {"min_language_score": 0.3},
    "and char_dup_ratio 0.05": {"limits": {"gopher_below_alpha_threshold": 0.6, "char_dup_ratio": 0.05}},
    "and without c4": {"without": ["lorem_ipsum", "curly_bracket", "too_few_sentences"]},
    "technical": {"preset": "technical", "limits": {}, "without": []},
    "and every language": {"languages": []},
}


def labels(data: Path, crawl: str) -> dict[bytes, dict[str, Any]]:
    """Document id -> the truth about it, for a crawl that is one file of the same name."""
    rows = pq.read_table(data / "warc" / "labels.parquet").to_pylist()
    return {document_id(crawl, row["record_id"]): row for row in rows if row["warc"] == f"{crawl}.warc.gz"}


# ---------------------------------------------------------------------------------------------------------
# Clusters


def agreement(clusters: Sequence[int], domains: Sequence[str]) -> float:
    """Adjusted mutual information: 0 is chance, 1 is equal. Documents without either do not count."""
    from sklearn.metrics import adjusted_mutual_info_score

    pairs = [(one, name) for one, name in zip(clusters, domains, strict=True) if one >= 0 and name != NO_DOMAIN]
    return round(float(adjusted_mutual_info_score([name for _, name in pairs], [one for one, _ in pairs])), 4)


def of_the_job(corpus: Corpus, truth: Mapping[bytes, Mapping[str, Any]]) -> dict[str, Any]:
    """Agreement of the job's own fine and merged clusters on all kept documents, and what each cluster holds."""
    table, buckets = read_clusters(corpus), read_buckets(corpus)
    fine, joined, domains = [], [], []
    crawls = [crawl.name for crawl in corpus.crawls]
    beside = partial(in_buckets, buckets=buckets)
    for rows in kept_parts(corpus, crawls, {"fine_clusters": ("cluster",)}, beside=beside):
        fine += rows["cluster"].to_pylist()
        joined += rows["bucket"].to_pylist()
        domains += [truth[identity]["domain"] for identity in rows["id"].to_pylist()]
    held: dict[int, Counter[str]] = defaultdict(Counter)
    for number, name in zip(joined, domains, strict=True):
        held[number][name] += 1
    return {
        "documents": len(fine),
        "domains": len(set(domains) - {NO_DOMAIN}),
        "fine": {"clusters": len(buckets.merged), "ami": agreement(fine, domains)},
        "merged": {"clusters": table.num_rows, "ami": agreement(joined, domains)},
        "clusters": [
            {
                "name": row["name"],
                "documents": row["documents"],
                "tokens": row["tokens"],
                "domains": dict(held[row["cluster"]].most_common(4)),
            }
            for row in table.to_pylist()
        ],
    }


def of_encoder(corpus: Corpus, truth: Mapping[bytes, Mapping[str, Any]], encoder: str) -> dict[str, Any]:
    """Both encoders the same way: the kept documents of least id, clustered as the settings say, five seeds."""
    settings = corpus.settings.embeddings.model_copy(update={"encoder": encoder})
    rows = _kept(corpus, MAX_ENCODED)
    domains = [truth[identity]["domain"] for identity, _ in rows]
    model = embed.load(settings, cache=corpus.workspace.local("models"), device="cpu")
    started = time.process_time()
    vectors = model.encode([text for _, text in rows])
    seconds = time.process_time() - started
    scores = [_scored(vectors, domains, corpus.settings.clusters, seed) for seed in SEEDS]
    return {
        "documents": len(rows),
        "documents_per_cpu_second": round(len(rows) / max(seconds, 1e-9), 1),
        "seeds": len(SEEDS),
        **{
            name: {
                "clusters": round(float(np.mean([one[name][0] for one in scores])), 1),
                "ami_mean": round(float(np.mean([one[name][1] for one in scores])), 4),
                "ami_spread": round(float(np.std([one[name][1] for one in scores], ddof=1)), 4),
            }
            for name in ("fine", "merged")
        },
    }


def _scored(vectors: np.ndarray, domains: Sequence[str], settings: Clusters, seed: int) -> dict[str, tuple[int, float]]:
    centroids = cluster.fit_centroids(vectors, k=settings.k_init, iterations=settings.iterations, seed=seed)
    fine, _ = cluster.assign(vectors, centroids)
    merged = cluster.merge(
        centroids,
        np.ones(len(centroids), bool),
        how=settings.merge,
        k=settings.k,
        distance=settings.distance,
        weights=np.bincount(fine, minlength=len(centroids)),
    )
    return {
        "fine": (len(centroids), agreement(fine.tolist(), domains)),
        "merged": (int(merged.max()) + 1, agreement(merged[fine].tolist(), domains)),
    }


def _kept(corpus: Corpus, count: int) -> list[tuple[bytes, str]]:
    """The `count` kept documents of smallest id."""
    crawls = [crawl.name for crawl in corpus.crawls]
    rows = [
        pair
        for part in kept_parts(corpus, crawls, {"documents": ("text",)})
        for pair in zip(part["id"].to_pylist(), part["text"].to_pylist(), strict=True)
    ]
    return sorted(rows)[:count]


# ---------------------------------------------------------------------------------------------------------
# What the verdicts keep


def kept_by(corpus: Corpus, truth: Mapping[bytes, Mapping[str, Any]]) -> dict[str, Any]:
    """Kept pages by domain under the preset and under looser thresholds, of ordinary English pages with 50 words."""
    ids, signals = _signals(corpus)
    ordinary = np.array([_ordinary(truth[identity]) for identity in ids])
    ordinary &= np.asarray(signals["num_words"]) >= MIN_WORDS
    odd = np.array([truth[identity]["kind"] == "soft_404" for identity in ids])
    domains = np.array([truth[identity]["domain"] for identity in ids])
    told: dict[str, Any] = {"ordinary_english_pages": _by(domains[ordinary])}
    changes: dict[str, Any] = {}
    for name, more in RELAXED.items():
        changes |= more
        settings = Quality.model_validate({**corpus.settings.quality.model_dump(), **changes})
        reasons = rules.verdicts(signals, settings)
        kept = np.asarray(pc.is_null(reasons))
        why = Counter(reason for reason, mine in zip(reasons.to_pylist(), ordinary, strict=True) if mine and reason)
        told[name] = {
            "kept": int(kept.sum()),
            "kept_ordinary_english": int((kept & ordinary).sum()),
            "kept_not_found_pages": f"{int((kept & odd).sum())} of {int(odd.sum())}",
            "by_domain": _by(domains[kept & ordinary]),
            "dropped_ordinary_english": dict(why.most_common(8)),
        }
    return told


def _signals(corpus: Corpus) -> tuple[list[bytes], pa.Table]:
    tables = [
        lineage.signals(corpus, crawl.name).read(part["part"], ("id", *SIGNALS.names, "language", "language_score"))
        for crawl in corpus.crawls
        for part in lineage.documents(corpus, crawl.name).finished()["parts"]
    ]
    table = pa.concat_tables(tables)
    return table["id"].to_pylist(), table.drop_columns(["id"])


def _ordinary(label: Mapping[str, Any]) -> bool:
    return label["lang"].startswith("en") and label["kind"].startswith("normal") and label["domain"] != NO_DOMAIN


def _by(domains: np.ndarray) -> dict[str, int]:
    return dict(Counter(domains.tolist()).most_common())
