"""What proxies are trained and measured on: token pools per cluster, and the targets as tokens."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import lineage
from pipelines.buckets import Buckets, in_buckets
from pipelines.clusters import read_buckets, read_clusters
from pipelines.corpus import Corpus, Report
from pipelines.fitting import published, read_centroids, tokenizer_json, write_json
from pipelines.optional import by_topic
from pipelines.store import Stage, aligned
from pipelines.token_pools import Pool, PoolBatch, validation_rows, write_pool

DOMAIN_TOKENS = 50_000_000  # of each domain that its distribution of tokens is taken from


def run_pools(corpus: Corpus) -> Report:
    """One memory-mapped token file per cluster and split, over all crawls."""
    return published(corpus, lineage.pools(corpus), lambda folder: _pool(corpus, folder))


def _pool(corpus: Corpus, folder: Path) -> dict[str, Any]:
    from pipelines.tokens import load_tokenizer

    buckets = read_buckets(corpus)
    tokenizer = load_tokenizer(tokenizer_json(corpus))
    pool = write_pool(
        folder,
        _batches(corpus, buckets),
        num_buckets=len(buckets.clusters),
        vocabulary=tokenizer.vocabulary,
        tokenizer_digest=tokenizer.digest,
    )
    return {
        "clusters": pool.num_buckets,
        "train_tokens": int(pool.num_tokens["train"].sum()),
        "validation_tokens": int(pool.num_tokens["validation"].sum()),
    }


def _batches(corpus: Corpus, buckets: Buckets) -> Iterator[PoolBatch]:
    for _, _, rows in pooled_parts(corpus, buckets, ("tokens", "num_bytes")):
        yield PoolBatch(
            tokens=rows["tokens"].combine_chunks(),
            bucket=np.asarray(rows["bucket"]),
            validation=np.asarray(rows["validation"]),
            num_bytes=np.asarray(rows["num_bytes"]),
        )


def pooled_parts(corpus: Corpus, buckets: Buckets, columns: tuple[str, ...]) -> Iterator[tuple[str, str, pa.Table]]:
    """(crawl, part, rows) in a fixed order; rows carry id, bucket (-1: in no pool), validation and `columns`.

    `columns` are those of `tokens`; every row of the part is there, kept or not.
    """
    for crawl in corpus.crawls:
        tokens = lineage.tokens(corpus, crawl.name)
        for part in tokens.finished()["parts"]:
            rows = tokens.read(part["part"], ("id", "num_tokens", *columns))
            numbers = in_buckets(corpus, crawl.name, part["part"], buckets=buckets)
            aligned(rows, numbers)
            bucket = np.where(np.asarray(rows["num_tokens"]) > 0, np.asarray(numbers["bucket"]), -1)
            validation = validation_rows(rows["id"].combine_chunks(), corpus.settings.tokens.validation)
            rows = rows.append_column("bucket", pa.array(bucket, pa.int32()))
            yield crawl.name, part["part"], rows.append_column("validation", pa.array(validation))


def open_pool(corpus: Corpus) -> Pool:
    stage = lineage.pools(corpus)
    stage.finished()
    return Pool.open(stage.local())


# ---------------------------------------------------------------------------------------------------------
# Targets


def run_evaluations(corpus: Corpus) -> Report:
    """The targets and tasks as tokens, by split, and the clusters that their search documents fall into."""
    return published(corpus, lineage.evaluations(corpus), lambda folder: _evaluate(corpus, folder))


def _evaluate(corpus: Corpus, folder: Path) -> dict[str, Any]:
    from pipelines.tasks import choices, read_items
    from pipelines.tokens import load_tokenizer

    stage = lineage.targets(corpus)
    rows, searched = [], {}
    for part in stage.finished()["parts"]:
        table = stage.read(part["part"], ("id", "text", "group", "split", "target"))
        name = table["target"][0].as_py()
        rows += _target_rows(corpus, name, table)
        search = table.filter(pc.equal(table["split"], "search"))
        searched[name] = search["text"].to_pylist()
    pq.write_table(pa.Table.from_pylist(rows, schema=EVALUATIONS), folder / "evaluations.parquet")
    told = {"targets": len(searched), "tokens": sum(len(row["tokens"]) for row in rows)}
    if corpus.settings.tasks:
        items = {task.name: read_items(task) for task in corpus.settings.tasks}
        tokenizer = load_tokenizer(tokenizer_json(corpus))
        tables = [choices(name, those, tokenizer) for name, those in items.items()]
        pq.write_table(pa.concat_tables(tables), folder / "tasks.parquet")
        searched |= {name: [item.text for item in those if item.split == "search"] for name, those in items.items()}
        told |= {"tasks": len(items), "items": sum(map(len, items.values()))}
    fine = _fine_counts(corpus, stage, searched)
    buckets, sizes = read_buckets(corpus), np.asarray(read_clusters(corpus)["tokens"])
    write_json(folder / "fine.json", fine)
    shared = {name: buckets.shared_out(counts, sizes) for name, counts in fine.items()}
    if not corpus.settings.clusters.tiers:
        shared = {name: counts.astype(np.int64) for name, counts in shared.items()}
    write_json(folder / "clusters.json", {name: counts.tolist() for name, counts in shared.items()})
    return told


EVALUATIONS = pa.schema(
    [
        pa.field("target", pa.string()),
        pa.field("split", pa.string()),  # search, final
        pa.field("group", pa.string()),  # "" where the target has none
        pa.field("documents", pa.int64()),
        pa.field("num_bytes", pa.int64()),
        pa.field("tokens", pa.list_(pa.uint32())),
    ]
)


def _target_rows(corpus: Corpus, name: str, table: pa.Table) -> list[dict[str, Any]]:
    from pipelines.tokens import encode, load_tokenizer

    tokenizer = load_tokenizer(tokenizer_json(corpus))
    found = []
    for split in ("search", "final"):
        for group in sorted(set(table["group"].to_pylist())):
            mine = table.filter(pc.and_(pc.equal(table["split"], split), pc.equal(table["group"], group)))
            texts = mine["text"].to_pylist()
            if texts:
                found.append(
                    {
                        "target": name,
                        "split": split,
                        "group": group,
                        "documents": len(texts),
                        "num_bytes": sum(len(text.encode()) for text in texts),
                        "tokens": np.asarray(encode(tokenizer, texts).flatten()).astype(np.uint32),
                    }
                )
    return found


def _fine_counts(corpus: Corpus, stage: Stage, texts: Mapping[str, list[str]]) -> dict[str, list[int]]:
    """Documents of each name in every fine cluster."""
    if not by_topic(corpus.settings):
        return _domain_counts(corpus, texts)
    from pipelines.vectors import cluster, embed
    from pipelines.vectors.stages import model_cache

    settings, centroids = corpus.settings, read_centroids(corpus)
    encoder = embed.load(settings.embeddings, cache=model_cache(stage), device=settings.engine.device)
    found = {}
    for name, documents in texts.items():
        number, _ = cluster.assign(encoder.encode(documents), centroids)
        found[name] = [int(count) for count in np.bincount(number, minlength=len(centroids))]
    return found


def _domain_counts(corpus: Corpus, texts: Mapping[str, list[str]]) -> dict[str, list[int]]:
    """The same by the domain whose tokens each document is likeliest of."""
    from pipelines import unigrams
    from pipelines.tokens import encode, load_tokenizer

    pool, tokenizer = open_pool(corpus), load_tokenizer(tokenizer_json(corpus))
    heads = (pool.tokens(bucket, "train")[:DOMAIN_TOKENS] for bucket in range(pool.num_buckets))
    each = np.stack([unigrams.counts(head, pool.vocabulary) for head in heads])
    domain = read_buckets(corpus).clusters
    shares = unigrams.log_shares(np.add.reduceat(each, np.flatnonzero(np.diff(domain, prepend=-1))))
    found = {}
    for name, documents in texts.items():
        ids = [np.asarray(one.values) for one in encode(tokenizer, documents)]
        number = unigrams.likeliest(ids, shares)
        found[name] = [int(count) for count in np.bincount(number, minlength=len(shares))]
    return found


def read_evaluations(corpus: Corpus) -> tuple[pa.Table, dict[str, list[float]]]:
    """(one row per target, split and group; target or task -> documents per bucket, shared out over tiers)."""
    stage = lineage.evaluations(corpus)
    stage.finished()
    table = corpus.workspace.read_table(*stage.steps, "evaluations.parquet")
    return table, corpus.workspace.read_json(*stage.steps, "clusters.json")


def read_fine_evaluations(corpus: Corpus) -> dict[str, list[int]]:
    """Target or task -> documents per fine cluster, pruned ones too."""
    stage = lineage.evaluations(corpus)
    stage.finished()
    return dict(corpus.workspace.read_json(*stage.steps, "fine.json"))


def read_tasks(corpus: Corpus) -> pa.Table:
    """The rows of pipelines/tasks.py; only where the settings name tasks."""
    stage = lineage.evaluations(corpus)
    stage.finished()
    return corpus.workspace.read_table(*stage.steps, "tasks.parquet")
