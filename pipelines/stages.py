"""The stages that add columns beside the documents, one function each. Open this file first.

Each function finds its stage's address (pipelines/lineage.py), does the parts that are missing, seals the stage and
returns a Report. Running one again is safe and, where nothing is missing, costs a listing. What comes before is
pipelines/ingest.py and targets.py, what looks at all parts at once duplicates.py, fitting.py and pooling.py. The order
is in mixer/job.py.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import lineage
from pipelines.corpus import Corpus, Report, forget_peak, peak_memory
from pipelines.duplicates import minhash
from pipelines.edits import spans as edits
from pipelines.quality import signals as quality
from pipelines.records import ID
from pipelines.store import Recipe, Stage, aligned

Tables = Mapping[str, pa.Table]
Rows = tuple[pa.Table, dict[str, Any]]  # the new columns, and what to count


# ---------------------------------------------------------------------------------------------------------
# New columns beside the documents


@dataclass(frozen=True)
class _Map:
    """One part through one pure function: read the columns it needs, check the ids, commit what it returns."""

    function: Callable[[Tables], Rows]
    output: Stage
    inputs: Mapping[str, tuple[Stage, tuple[str, ...]]]

    def __call__(self, part: str) -> tuple[int, int]:
        forget_peak()
        tables = {name: stage.read(part, ("id", *columns)) for name, (stage, columns) in self.inputs.items()}
        aligned(*tables.values())
        rows, counts = self.function(tables)
        table = rows.add_column(0, pa.field("id", ID, nullable=False), next(iter(tables.values()))["id"])
        self.output.commit(part, table, counts=counts)
        return table.num_rows, peak_memory()


def _parts(corpus: Corpus, crawl: str) -> list[str]:
    return [part["part"] for part in lineage.documents(corpus, crawl).finished()["parts"]]


def run_edits(corpus: Corpus, crawl: str) -> Report:
    """Spans that later readers cut from the text, by reason."""
    stage = lineage.edits(corpus, crawl)
    inputs = {"documents": (lineage.documents(corpus, crawl), ("text",))}
    work = _Map(partial(_edits, corpus.settings.edits), stage, inputs)
    return corpus.run(stage, _parts(corpus, crawl), work)


def _edits(settings: Any, tables: Tables) -> Rows:
    spans, counts = edits.line_edits(tables["documents"]["text"].to_pylist(), settings)
    return pa.table({"edits": spans}), {"read": len(spans), "spans": dict(counts)}


def run_signals(corpus: Corpus, crawl: str) -> Report:
    """Language and the raw value of every heuristic."""
    stage = lineage.signals(corpus, crawl)
    inputs = {
        "documents": (lineage.documents(corpus, crawl), ("text",)),
        "edits": (lineage.edits(corpus, crawl), ("edits",)),
    }
    work = _Map(partial(_signals, corpus.settings.language.model), stage, inputs)
    return corpus.run(stage, _parts(corpus, crawl), work)


def _signals(model: str, tables: Tables) -> Rows:
    from pipelines.text import language

    texts = tables["documents"]["text"].to_pylist()
    languages, scores = language.identify(texts, model)
    table = quality.signals(texts, languages, edits.texts_after(texts, tables["edits"]["edits"]))
    table = table.add_column(0, "language_score", pa.array(scores, pa.float32()))
    table = table.add_column(0, "language", pa.array(languages, pa.string()))
    return table, {"read": len(texts)}


def run_verdicts(corpus: Corpus, crawl: str) -> Report:
    """The preset's thresholds over the signals: the first reason to drop a document, or none."""
    stage = lineage.verdicts(corpus, crawl)
    inputs = {"signals": (lineage.signals(corpus, crawl), quality.COLUMNS)}
    work = _Map(partial(_verdicts, corpus.settings.quality), stage, inputs)
    return corpus.run(stage, _parts(corpus, crawl), work)


def _verdicts(settings: Any, tables: Tables) -> Rows:
    reasons = quality.verdicts(tables["signals"], settings)
    dropped = {row["values"]: row["counts"] for row in pc.value_counts(pc.drop_null(reasons)).to_pylist()}
    counts = {"read": len(reasons), "kept": reasons.null_count, "dropped": dropped}
    return pa.table({"reason": reasons}), counts


def run_signatures(corpus: Corpus, crawl: str) -> Report:
    """Content hash and MinHash bands of every document."""
    stage = lineage.signatures(corpus, crawl)
    inputs = {"documents": (lineage.documents(corpus, crawl), ("text",))}
    work = _Map(partial(_signatures, corpus.settings.duplicates), stage, inputs)
    return corpus.run(stage, _parts(corpus, crawl), work)


def _signatures(settings: Any, tables: Tables) -> Rows:
    texts = tables["documents"]["text"].to_pylist()
    return minhash.signatures(texts, settings), {"read": len(texts)}


# ---------------------------------------------------------------------------------------------------------
# Vectors and clusters


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
    return corpus.run(stage, _parts(corpus, crawl), work)


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
        return _Map(function, self.output, self.inputs)(part)


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
    """The nearest fitted centroid of every embedded document."""
    from pipelines.fitting import read_centroids

    stage = lineage.fine_clusters(corpus, crawl)
    inputs = {"embeddings": (lineage.embeddings(corpus, crawl), ("embedded", "vector"))}
    work = _Map(partial(_fine_clusters, read_centroids(corpus)), stage, inputs)
    return corpus.run(stage, _parts(corpus, crawl), work)


def _fine_clusters(centroids: np.ndarray, tables: Tables) -> Rows:
    from pipelines.vectors import cluster

    embedded = np.asarray(tables["embeddings"]["embedded"])
    number = np.full(len(embedded), -1, np.int32)
    distance = np.zeros(len(embedded), np.float32)
    if embedded.any():
        vectors = matrix(tables["embeddings"]["vector"])[embedded]
        number[embedded], distance[embedded] = cluster.assign(vectors, centroids)
    return pa.table({"cluster": number, "distance": distance}), {"read": len(embedded), "kept": int(embedded.sum())}


# ---------------------------------------------------------------------------------------------------------
# Tokens


def run_tokens(corpus: Corpus, crawl: str) -> Report:
    """Token ids of every kept document's text after its edits; none for the others."""
    from pipelines.fitting import tokenizer_json

    stage = lineage.tokens(corpus, crawl)
    inputs = {
        "documents": (lineage.documents(corpus, crawl), ("text",)),
        "edits": (lineage.edits(corpus, crawl), ("edits",)),
        "verdicts": (lineage.verdicts(corpus, crawl), ("reason",)),
        "duplicates": (lineage.duplicates(corpus, crawl), ("duplicate_of",)),
    }
    work = _Map(partial(_tokens, tokenizer_json(corpus)), stage, inputs)
    return corpus.run(stage, _parts(corpus, crawl), work)


def _tokens(tokenizer: bytes, tables: Tables) -> Rows:
    from pipelines import tokens

    kept = kept_rows(tables)
    texts = edits.texts_after(tables["documents"]["text"].to_pylist(), tables["edits"]["edits"])
    chosen = [text if keep else "" for text, keep in zip(texts, kept.tolist(), strict=True)]
    sizes = np.array([len(text.encode()) for text in chosen], np.int64)
    ids = tokens.encode(tokens.load_tokenizer(tokenizer), chosen, kept)
    lengths = np.asarray(pc.list_value_length(ids)).astype(np.int32)
    digests = pa.array([minhash.content_hash(text) for text in chosen], ID)
    table = pa.table({"tokens": ids, "num_tokens": lengths, "num_bytes": sizes, "text_digest": digests})
    counts = {"read": len(kept), "kept": int(kept.sum()), "dropped": {"by_an_earlier_stage": int((~kept).sum())}}
    return table, {**counts, "tokens": int(lengths.sum()), "bytes": int(sizes.sum())}


def kept_rows(tables: Tables) -> np.ndarray:
    """bool [rows]: passed the verdicts and is no duplicate."""
    return np.asarray(
        pc.and_(pc.is_null(tables["verdicts"]["reason"]), pc.is_null(tables["duplicates"]["duplicate_of"]))
    )


def vector_column(vectors: np.ndarray) -> pa.FixedSizeListArray:
    """float16 [n, d] as a column without nulls: pyarrow cannot read nullable fixed-size lists back."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """The [n, d] array of a vector column."""
    array = column.combine_chunks()
    return np.asarray(array.flatten()).reshape(len(array), array.type.list_size)


def model_cache(stage: Stage) -> Path:
    """Where a distilled encoder lies: in the workspace, or in the user's cache when that is no local folder."""
    if stage.workspace.is_local:
        return stage.workspace.local("models")
    return Path.home() / ".cache" / "sirdar" / "models"
