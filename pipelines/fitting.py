"""What is fitted on the whole corpus, once: centroids, clusters, tokeniser, pools, evaluation sets.

Driver steps over bounded samples and small tables; rows stay in the maps of pipelines/stages.py. Each
publishes its files whole, so a fit is there or it is not.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import lineage
from pipelines.columns import dropping, kept_rows, parts_of
from pipelines.corpus import Corpus, Report, added
from pipelines.domains import domain_of, domains
from pipelines.errors import InputError
from pipelines.records import ID_WORDS
from pipelines.store import Stage, aligned


def published(corpus: Corpus, stage: Stage, fit: Callable[[Path], dict[str, Any]]) -> Report:
    """A stage of files: `fit(folder)` writes them and returns counts, unless they are there already."""
    started = time.monotonic()
    with stage.lease():
        manifest = stage.manifest()
        corpus.progress.begin(stage.recipe.stage, "", total=1, done=int(manifest is not None))
        todo = int(manifest is None)
        if manifest is None:
            with tempfile.TemporaryDirectory(prefix="sirdar-") as folder:
                counts = fit(Path(folder))
                files = {str(path.relative_to(folder)): path for path in Path(folder).rglob("*") if path.is_file()}
                manifest = stage.publish(files, counts=counts)
            corpus.progress.advance(1, 0)
    return corpus.report(stage, manifest, started, parts=1, todo=todo)


# ---------------------------------------------------------------------------------------------------------
# Centroids


def run_centroids(corpus: Corpus) -> Report:
    """Fine k-means centroids, fitted on kept documents of the fit crawls, the smallest ids first."""
    return published(corpus, lineage.centroids(corpus), lambda folder: _fit_centroids(corpus, folder))


def _fit_centroids(corpus: Corpus, folder: Path) -> dict[str, Any]:
    from pipelines.vectors import cluster
    from pipelines.vectors.stages import matrix

    settings = corpus.settings.clusters
    keys, vectors, documents = np.empty(0, ID_WORDS), None, 0
    for rows in kept_parts(corpus, corpus.fit_crawls, {"embeddings": ("embedded", "vector")}, clustered=False):
        mine = rows.filter(rows["embedded"])
        documents += mine.num_rows
        new = np.frombuffer(b"".join(mine["id"].to_pylist()), ID_WORDS)
        keys = np.concatenate([keys, new])
        vectors = matrix(mine["vector"]) if vectors is None else np.concatenate([vectors, matrix(mine["vector"])])
        if len(keys) > 2 * settings.sample:
            keys, vectors = _smallest(keys, vectors, settings.sample)
    if vectors is None or documents < 2:
        raise InputError(f"{documents} documents are left to cluster; relax the quality settings, or add documents")
    keys, vectors = _smallest(keys, vectors, settings.sample)
    found = cluster.fit_centroids(
        vectors, k=settings.k_init, iterations=settings.iterations, seed=settings.seed,
        device=corpus.settings.engine.device,
    )  # fmt: skip
    np.save(folder / "centroids.npy", found)
    return {"documents": documents, "fitted_on": len(keys), "centroids": len(found)}


def _smallest(keys: np.ndarray, vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The `count` rows with the smallest ids, in their order: a sample that no order of files changes."""
    chosen = np.lexsort((keys["low"], keys["high"]))[:count]
    return keys[chosen], vectors[chosen]


def read_centroids(corpus: Corpus) -> np.ndarray:
    stage = lineage.centroids(corpus)
    stage.finished()
    with corpus.workspace.open(*stage.steps, "centroids.npy") as file:
        return np.asarray(np.load(file))


# ---------------------------------------------------------------------------------------------------------
# Tokeniser


def run_tokenizer(corpus: Corpus) -> Report:
    """The tokeniser: trained on kept text of the fit crawls, or the named one."""
    return published(corpus, lineage.tokenizer(corpus), lambda folder: _fit_tokenizer(corpus, folder))


def _fit_tokenizer(corpus: Corpus, folder: Path) -> dict[str, Any]:
    from pipelines import tokens

    settings = corpus.settings.tokens
    if settings.tokenizer == "bpe":
        content = tokens.train_bpe(_kept_texts(corpus, settings.sample_bytes), vocabulary=settings.vocabulary)
    else:
        content = tokens.load_tokenizer(settings.tokenizer).to_json()
    (folder / "tokenizer.json").write_bytes(content)
    return {"vocabulary": tokens.load_tokenizer(content).vocabulary}


def _kept_texts(corpus: Corpus, limit: int) -> Iterator[str]:
    """Kept texts, part by part, up to `limit` bytes."""
    from pipelines.edits import spans as edits

    for rows in kept_parts(corpus, corpus.fit_crawls, {"documents": ("text",), "cuts": ("edits",)}, clustered=False):
        for text in edits.texts_after(rows["text"].to_pylist(), rows["edits"]):
            limit -= len(text.encode())
            if limit < 0:
                return
            yield text


def tokenizer_json(corpus: Corpus) -> bytes:
    stage = lineage.tokenizer(corpus)
    stage.finished()
    with corpus.workspace.open(*stage.steps, "tokenizer.json") as file:
        return bytes(file.read())


# ---------------------------------------------------------------------------------------------------------
# Clusters


def run_clusters(corpus: Corpus) -> Report:
    """Fine clusters scored, pruned, merged and named, or the domains; with the tokens of all crawls."""
    return published(corpus, lineage.clusters(corpus), lambda folder: _fit_clusters(corpus, folder))


def _fit_clusters(corpus: Corpus, folder: Path) -> dict[str, Any]:
    from pipelines.vectors import names

    sources = () if lineage.by_topic(corpus.settings) else domains(corpus)
    centroids = None if sources else read_centroids(corpus)
    count = len(sources) if centroids is None else len(centroids)
    every, documents = _fine_scores(corpus, count)
    scores = np.nan_to_num(every).mean(axis=1)
    if centroids is None:
        _must_not_be_empty(corpus, sources, documents)
        merged = np.arange(count)
    else:
        merged = _merged(corpus, centroids, every, documents)
    pq.write_table(
        pa.table(
            {
                "fine_cluster": np.arange(count, dtype=np.int32),
                "cluster": merged.astype(np.int32),
                "documents": documents,
                "score": scores.astype(np.float32),
            }
        ),
        folder / "fine.parquet",
    )
    texts, labels = _samples(corpus, merged)
    named = names.name_clusters(texts, labels, num_terms=8)
    named |= {number: (name, named.get(number, ("", []))[1]) for number, name in enumerate(sources)}
    table = _cluster_table(corpus, merged, scores, documents, named, texts, labels)
    pq.write_table(table, folder / "clusters.parquet")
    told = {"fine": count, "pruned": int((merged < 0).sum()), "clusters": table.num_rows}
    return {**told, "tokens": int(np.asarray(table["tokens"]).sum())}


def _merged(corpus: Corpus, centroids: np.ndarray, scores: np.ndarray, documents: np.ndarray) -> np.ndarray:
    """The merged cluster of each fine one, -1 where it is pruned."""
    from pipelines.vectors import cluster

    settings = corpus.settings.clusters
    kept = cluster.prune(scores, settings.min_score)
    if not kept.any():
        raise InputError(f"every cluster scores below clusters.min_score = {settings.min_score}; lower it")
    return cluster.merge(
        centroids, kept, how=settings.merge, k=settings.k, distance=settings.distance, weights=documents
    )


def _must_not_be_empty(corpus: Corpus, sources: Sequence[str], documents: np.ndarray) -> None:
    """InputError that says of every domain without a document what became of its records."""
    empty = [name for name, count in zip(sources, documents.tolist(), strict=True) if not count]
    if not empty:
        return
    told = []
    for name in empty:
        sides = [
            side["counts"]
            for crawl in corpus.fit_crawls
            for side in lineage.documents(corpus, crawl).sidecars().values()
            if domain_of(side["file"]) == name
        ]
        counts = added(sides)
        why = {**counts.get("dropped", {}), **counts.get("errors", {})}
        kept = counts.get("kept", 0)
        told.append(
            f"{name!r} ({counts.get('read', 0)} records read, {kept} of them documents"
            + "".join(f", {count} {reason}" for reason, count in why.items())
            + (", which rules or duplicates dropped)" if kept else ")")
        )
    raise InputError(f"no document is left of a domain: {'; '.join(told)}; take its files away, or mend them")


def _fine_scores(corpus: Corpus, num_centroids: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean scores [k, s] and number of kept documents [k] of each fine cluster, on the fit crawls."""
    from pipelines.vectors import cluster

    count = np.zeros(num_centroids, np.int64)

    def scored() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for number, values in _scored_parts(corpus):
            np.add.at(count, number[number >= 0], 1)
            yield number, values

    return cluster.scores_by_cluster(scored(), k=num_centroids), count


def _scored_parts(corpus: Corpus) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(fine cluster, scores) of kept documents: of each classifier, or the one from the signals."""
    from pipelines.classifiers import scores as scoring

    paths = corpus.settings.clusters.scores
    wanted: dict[str, tuple[str, ...]] = {"fine_clusters": ("cluster",)}
    wanted |= {"documents": ("text",)} if paths else {"signals": scoring.SCORE_COLUMNS}
    for rows in kept_parts(corpus, corpus.fit_crawls, wanted):
        if paths:
            texts = rows["text"].to_pylist()
            values = np.stack([scoring.fasttext_scores(texts, path) for path in paths], axis=1)
        else:
            values = scoring.signal_score(pl.DataFrame(pl.from_arrow(rows.select(scoring.SCORE_COLUMNS))))
        yield np.asarray(rows["cluster"]), values


def _samples(corpus: Corpus, merged: np.ndarray, per_cluster: int = 400) -> tuple[list[str], np.ndarray]:
    """Up to `per_cluster` kept documents of each merged cluster, those with the smallest ids."""
    best: dict[int, list[tuple[bytes, str]]] = {}
    for rows in kept_parts(corpus, corpus.fit_crawls, {"documents": ("text",), "fine_clusters": ("cluster",)}):
        fine = np.asarray(rows["cluster"])
        number = np.where(fine >= 0, merged[fine], -1)
        for cluster_id in np.unique(number[number >= 0]).tolist():
            mine = rows.filter(pa.array(number == cluster_id))
            found = list(zip(mine["id"].to_pylist(), (text[:2000] for text in mine["text"].to_pylist()), strict=True))
            best[cluster_id] = sorted(best.get(cluster_id, []) + found)[:per_cluster]
    texts = [text for cluster_id in sorted(best) for _, text in best[cluster_id]]
    labels = [cluster_id for cluster_id in sorted(best) for _ in best[cluster_id]]
    return texts, np.array(labels, np.int32)


def _cluster_table(
    corpus: Corpus,
    merged: np.ndarray,
    scores: np.ndarray,
    documents: np.ndarray,
    named: Mapping[int, tuple[str, list[str]]],
    texts: list[str],
    labels: np.ndarray,
) -> pa.Table:
    """One row per merged cluster; tokens and documents of all crawls."""
    count = int(merged.max()) + 1
    tokens, docs = np.zeros(count, np.int64), np.zeros(count, np.int64)
    every = [crawl.name for crawl in corpus.crawls]
    for rows in kept_parts(corpus, every, {"fine_clusters": ("cluster",), "tokens": ("num_tokens",)}):
        fine = np.asarray(rows["cluster"])
        number = np.where(fine >= 0, merged[fine], -1)
        there = number >= 0
        np.add.at(tokens, number[there], np.asarray(rows["num_tokens"])[there])
        np.add.at(docs, number[there], 1)
    mean = [
        float(np.average(scores[merged == one], weights=np.maximum(documents[merged == one], 1)))
        for one in range(count)
    ]
    examples = [[" ".join(text.split())[:200] for text in _of(texts, labels, one)[:3]] for one in range(count)]
    return pa.table(
        {
            "cluster": pa.array(range(count), pa.int32()),
            "name": [named.get(one, (f"cluster {one}", []))[0] for one in range(count)],
            "terms": pa.array([list(named.get(one, ("", []))[1]) for one in range(count)], pa.list_(pa.string())),
            "fine_clusters": pa.array([int((merged == one).sum()) for one in range(count)], pa.int32()),
            "documents": docs,
            "tokens": tokens,
            "score": pa.array(mean, pa.float32()),
            "examples": pa.array(examples, pa.list_(pa.string())),
        }
    )


def _of(texts: list[str], labels: np.ndarray, one: int) -> list[str]:
    return [texts[index] for index in np.flatnonzero(labels == one)]


def read_clusters(corpus: Corpus) -> tuple[pa.Table, np.ndarray]:
    """(table of merged clusters, merged cluster of each fine one or -1)."""
    stage = lineage.clusters(corpus)
    stage.finished()
    fine = corpus.workspace.read_table(*stage.steps, "fine.parquet", columns=["cluster"])
    return corpus.workspace.read_table(*stage.steps, "clusters.parquet"), np.asarray(fine["cluster"])


def read_fine_documents(corpus: Corpus) -> np.ndarray:
    """Kept documents of each fine cluster, pruned ones too, in the crawls that clusters are fitted on."""
    stage = lineage.clusters(corpus)
    stage.finished()
    table = corpus.workspace.read_table(*stage.steps, "fine.parquet", columns=["documents"])
    return np.asarray(table["documents"])


# ---------------------------------------------------------------------------------------------------------


def kept_parts(
    corpus: Corpus, crawls: Sequence[str], columns: Mapping[str, tuple[str, ...]], *, clustered: bool = True
) -> Iterator[pa.Table]:
    """The kept rows of each part of the crawls, with `columns` {stage: names} side by side and the id."""
    for crawl in crawls:
        drops = dropping(corpus, crawl, clustered=clustered)
        stages = {name: getattr(lineage, name)(corpus, crawl) for name in columns}
        for part in parts_of(corpus, crawl):
            tables = {name: stages[name].read(part, ("id", *columns[name])) for name in columns}
            whys = {name: stage.read(part, ("id", *names)) for name, (stage, names) in drops.items()}
            aligned(*whys.values(), *tables.values())
            joined = whys["verdicts"].select(["id"])
            for name, names in columns.items():
                for column in names:
                    joined = joined.append_column(column, tables[name][column])
            yield joined.filter(pa.array(kept_rows(whys)))


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
