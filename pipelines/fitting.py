"""What is fitted on the whole corpus, once, before its clusters: centroids and the tokeniser.

Driver steps over bounded samples and small tables; rows stay in the maps of pipelines/stages.py. Each
publishes its files whole, so a fit is there or it is not.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines import lineage
from pipelines.columns import dropping, kept_rows, parts_of
from pipelines.corpus import Corpus, Report
from pipelines.errors import InputError
from pipelines.records import ID_WORDS
from pipelines.store import Stage, aligned
from pipelines.vectors.column import matrix


def published(corpus: Corpus, stage: Stage, fit: Callable[[Path], dict[str, Any]]) -> Report:
    """A stage of files: `fit(folder)` writes them and returns counts, unless they are there already."""
    started = time.monotonic()
    with stage.lease():
        manifest = stage.manifest()
        corpus.progress.begin(stage.recipe.stage, "", total=1, done=int(manifest is not None))
        todo = int(manifest is None)
        if manifest is None:
            with stage.making() as folder:
                manifest = stage.publish(folder, counts=fit(folder))
            corpus.progress.advance(1, 0)
    return corpus.report(stage, manifest, started, parts=1, todo=todo)


# ---------------------------------------------------------------------------------------------------------
# Centroids


def run_centroids(corpus: Corpus) -> Report:
    """Fine k-means centroids, fitted on kept documents of the fit crawls, the smallest ids first."""
    return published(corpus, lineage.centroids(corpus), lambda folder: _fit_centroids(corpus, folder))


def _fit_centroids(corpus: Corpus, folder: Path) -> dict[str, Any]:
    from pipelines.vectors import cluster

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


def kept_parts(
    corpus: Corpus,
    crawls: Sequence[str],
    columns: Mapping[str, tuple[str, ...]],
    *,
    clustered: bool = True,
    beside: Callable[[Corpus, str, str], pa.Table] | None = None,
) -> Iterator[pa.Table]:
    """The kept rows of each part of the crawls, with `columns` {stage: names} side by side and the id.

    `beside(corpus, crawl, part)` gives an id and further columns of every row.
    """
    for crawl in crawls:
        drops = dropping(corpus, crawl, clustered=clustered)
        stages = {name: getattr(lineage, name)(corpus, crawl) for name in columns}
        for part in parts_of(corpus, crawl):
            tables = {name: stages[name].read(part, ("id", *columns[name])) for name in columns}
            whys = {name: stage.read(part, ("id", *names)) for name, (stage, names) in drops.items()}
            if beside:
                tables[""] = beside(corpus, crawl, part)
            aligned(*whys.values(), *tables.values())
            joined = whys["verdicts"].select(["id"])
            for table in tables.values():
                for column in table.column_names[1:]:
                    joined = joined.append_column(column, table[column])
            yield joined.filter(pa.array(kept_rows(whys)))


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
