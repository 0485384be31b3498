"""The stages of vectors: what a document says, and the fitted centroid that it is nearest to."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines import lineage
from pipelines.columns import RowMap, Rows, Tables, parts_of, run_rows
from pipelines.corpus import Corpus, Report
from pipelines.domains import domain_of, of_files
from pipelines.fitting import read_centroids
from pipelines.optional import by_topic
from pipelines.store import Recipe, Stage, aligned
from pipelines.vectors.column import matrix, vector_column


def run_embeddings(corpus: Corpus, crawl: str) -> Report:
    """Vectors of the documents behind the coarse gate; older ones of the same encoder are reused by id."""
    stage = lineage.embeddings(corpus, crawl)
    inputs = {
        "documents": (lineage.documents(corpus, crawl), ("text",)),
        "signals": (lineage.signals(corpus, crawl), ("language", "num_words")),
    }
    settings = corpus.settings
    if settings.embeddings.encoder == "static" and stage.manifest() is None:
        from pipelines.vectors.embed import distilled

        distilled(settings.embeddings, cache=model_cache(stage))  # once here, not once in every worker
    work = _Embed(stage, inputs, settings.embeddings, settings.engine.device, _older(corpus, stage))
    return corpus.run(stage, parts_of(corpus, crawl), work)


@dataclass(frozen=True)
class _Embed:
    output: Stage
    inputs: Mapping[str, tuple[Stage, tuple[str, ...]]]
    settings: Any
    device: str
    older: tuple[Stage, ...]

    def __call__(self, part: str) -> tuple[int, int]:
        reuse = next((stage for stage in self.older if stage.has(part)), None)
        function = partial(_embeddings, self.output, self.settings, self.device, reuse and reuse.read(part))
        return RowMap(function, self.output, self.inputs)(part)


def _embeddings(stage: Stage, settings: Any, device: str, older: pa.Table | None, tables: Tables) -> Rows:
    from pipelines.vectors import embed

    language = np.asarray(tables["signals"]["language"])
    gate = np.asarray(tables["signals"]["num_words"]) >= settings.min_words
    if settings.languages:
        gate &= np.isin(language, settings.languages)
    encoder = embed.load(settings, cache=model_cache(stage), device=device)
    vectors = np.zeros((len(gate), encoder.dimensions), np.float16)
    missing = gate.copy()
    if older is not None:
        aligned(tables["documents"], older)
        there = np.asarray(older["embedded"]) & gate
        vectors[there] = matrix(older["vector"])[there]
        missing &= ~there
    texts = tables["documents"]["text"].filter(pa.array(missing)).to_pylist()
    if texts:
        vectors[missing] = encoder.encode(texts)
    table = pa.table({"embedded": pa.array(gate), "vector": vector_column(vectors)})
    # `reused` would depend on what happens to lie in the workspace, so it is no part of the counts.
    return table, {"read": len(gate), "kept": int(gate.sum()), "dropped": {"not_embedded": int((~gate).sum())}}


def _older(corpus: Corpus, stage: Stage) -> tuple[Stage, ...]:
    """Finished embeddings of the same encoder and documents behind another gate."""
    found = []
    for digest in corpus.workspace.names("embeddings", stage.recipe.crawl):
        place = ("embeddings", stage.recipe.crawl, digest)
        if digest == stage.recipe.digest or not corpus.workspace.exists(*place, "manifest.json"):
            continue
        values = corpus.workspace.read_json(*place, "manifest.json")
        recipe = Recipe(**{name: values[name] for name in stage.recipe.values})
        if _vectors_of(recipe) == _vectors_of(stage.recipe):
            found.append(Stage(corpus.workspace, recipe))
    return tuple(found)


def _vectors_of(recipe: Recipe) -> tuple[Any, ...]:
    """What vectors follow from: all of the recipe but the gate and the signals that it judges by."""
    documents = [label for label in recipe.inputs if label.startswith("documents/")]
    return recipe.version, {**recipe.settings, "gate": None}, recipe.libraries, documents


def run_fine_clusters(corpus: Corpus, crawl: str) -> Report:
    """The nearest fitted centroid of every embedded document, or the domain of every document."""
    stage = lineage.fine_clusters(corpus, crawl)
    if not by_topic(corpus.settings):
        of_files(corpus.crawl(crawl).files, f"crawl {crawl}")
        return corpus.run(stage, parts_of(corpus, crawl), _BySource(stage, lineage.documents(corpus, crawl)))
    inputs = {"embeddings": (lineage.embeddings(corpus, crawl), ("embedded", "vector"))}
    return run_rows(corpus, stage, inputs, partial(_fine_clusters, read_centroids(corpus)))


def _fine_clusters(centroids: np.ndarray, tables: Tables) -> Rows:
    from pipelines.vectors import cluster

    embedded = np.asarray(tables["embeddings"]["embedded"])
    number = np.full(len(embedded), -1, np.int32)
    distance = np.zeros(len(embedded), np.float32)
    if embedded.any():
        vectors = matrix(tables["embeddings"]["vector"])[embedded]
        number[embedded], distance[embedded] = cluster.assign(vectors, centroids)
    return pa.table({"cluster": number, "distance": distance}), {"read": len(embedded), "kept": int(embedded.sum())}


@dataclass(frozen=True)
class _BySource:
    """The domain of a part's documents, as its number among those of the fit crawls; -1 where it is none of them."""

    output: Stage
    documents: Stage

    def __call__(self, part: str) -> tuple[int, int]:
        ids = self.documents.read(part, ("id",))
        numbers = {name: number for number, name in enumerate(self.output.recipe.settings["domains"])}
        number = numbers.get(domain_of(self.documents.sidecar(part)["file"]), -1)
        table = ids.append_column("cluster", pa.array(np.full(len(ids), number, np.int32)))
        table = table.append_column("distance", pa.array(np.zeros(len(ids), np.float32)))
        left_out = {"dropped": {"domain_of_no_fit_crawl": len(ids)}} if number < 0 else {}
        self.output.commit(part, table, counts={"read": len(ids), "kept": len(ids) if number >= 0 else 0, **left_out})
        return len(ids), 0


def model_cache(stage: Stage) -> Path:
    """Where a distilled encoder lies: in the workspace, or in the user's cache when that is no local folder."""
    if stage.workspace.is_local:
        return stage.workspace.local("models")
    return Path.home() / ".cache" / "sirdar" / "models"
