"""The corpus half, one function per stage: raw crawl files to token pools. Open this file first.

Each function finds its stage's address (pipelines/lineage.py), does the parts that are missing, seals the
stage and returns a Report. Running one again is safe and, where nothing is missing, costs a listing.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines import edits, lineage, minhash, quality
from pipelines.corpus import Corpus, Report, added, forget_peak, peak_memory
from pipelines.duplicates import run_duplicates
from pipelines.errors import AccountingError, InputError
from pipelines.records import ID
from pipelines.store import Recipe, Stage, aligned, part_name

Tables = Mapping[str, pa.Table]
Rows = tuple[pa.Table, dict[str, Any]]  # the new columns, and what to count


# ---------------------------------------------------------------------------------------------------------
# Crawl files to documents


def run_documents(corpus: Corpus, crawl: str) -> Report:
    """Read the crawl's files: documents, rejects beside them, and every byte accounted for."""
    started = time.monotonic()
    stage = lineage.documents(corpus, crawl)
    files = corpus.crawl(crawl).files
    with stage.lease():
        before = stage.sidecars()
        finished = {side["file"] for side in before.values() if side["end"]}
        todo = [relative for relative in files if relative not in finished]
        corpus.progress.begin("documents", crawl, total=len(files), done=len(files) - len(todo))
        peaks = [0]

        def landed(_: str, told: tuple[int, int]) -> None:
            peaks.append(told[1])
            corpus.progress.advance(1, told[0])

        corpus.map(_Ingest(stage, crawl, dict(files), corpus.settings.ingest), todo, landed)
        sidecars = {part: side for part, side in stage.sidecars().items() if side["file"] in files}
        _check_accounts(files, sidecars)
        manifest = stage.seal(list(sidecars), counts=added([side["counts"] for side in sidecars.values()]))
    return corpus.report(stage, manifest, started, parts=len(files), todo=len(todo), peak_bytes=max(peaks))


@dataclass(frozen=True)
class _Ingest:
    """Reads one file from where its last committed part ended."""

    stage: Stage
    crawl: str
    files: dict[str, tuple[str, int]]
    settings: Any

    def __call__(self, relative: str) -> tuple[int, int]:
        from pipelines.documents import read_parts

        forget_peak()
        location, size = self.files[relative]
        _must_be_unchanged(location, relative, size)
        k, offset, rows = 0, 0, 0
        while self.stage.has(part_name(relative, k)):
            side = self.stage.sidecar(part_name(relative, k))
            k, offset, rows = k + 1, side["next_offset"], rows + side["rows"]
        try:
            opened = partial(_open, location)
            for part in read_parts(
                opened, relative=relative, size=size, crawl=self.crawl, settings=self.settings, offset=offset
            ):
                counts = {
                    "read": part.counts.read,
                    "kept": part.counts.kept,
                    "dropped": dict(part.counts.dropped),
                    "errors": dict(part.counts.errors),
                    "bytes_read": part.bytes_read,
                    "bytes_lost": part.bytes_lost,
                }
                self.stage.commit(
                    part_name(relative, k),
                    part.documents,
                    beside={"rejects": part.rejects},
                    counts=counts,
                    file=relative,
                    file_bytes=size,
                    first_offset=part.first_offset,
                    next_offset=part.next_offset,
                    end=part.end,
                )
                k, rows = k + 1, rows + part.documents.num_rows
        except FileNotFoundError:
            raise InputError(f"{location} is gone before it was read to its end; put it back and run again") from None
        return rows, peak_memory()


def _must_be_unchanged(location: str, relative: str, size: int) -> None:
    filesystem, path = fsspec.core.url_to_fs(location)
    try:
        now = filesystem.size(path)
    except FileNotFoundError:
        raise InputError(f"{location} is gone; put it back and run again") from None
    if now != size:
        raise InputError(
            f"{relative} has {now} bytes now and had {size} when its crawl was registered; crawl files must not "
            "change: put it back, or give the new one another name, or another crawl"
        )


def _open(location: str) -> Any:
    return fsspec.open(location, "rb").open()


def _check_accounts(files: Mapping[str, tuple[str, int]], sidecars: Mapping[str, Mapping[str, Any]]) -> None:
    """Invariant 1: bytes read + lost = size of each file; records read = kept + dropped + errors."""
    for relative, (_, size) in files.items():
        sides = [side for side in sidecars.values() if side["file"] == relative]
        told = sum(side["counts"]["bytes_read"] + side["counts"]["bytes_lost"] for side in sides)
        if told != size or not any(side["end"] for side in sides):
            raise AccountingError(f"{relative}: {told} bytes accounted for, the file has {size}")
        for side in sides:
            counts = side["counts"]
            out = counts["kept"] + sum(counts["dropped"].values()) + sum(counts["errors"].values())
            if counts["read"] != out or counts["kept"] != side["rows"]:
                raise AccountingError(f"{side['part']} of {relative}: {counts['read']} records read, {out} came out")


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
    from pipelines import language

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
# Held-out documents


def run_targets(corpus: Corpus) -> Report:
    """The targets' documents with their signatures; half of each, by id, is only for the final comparison."""
    stage = lineage.targets(corpus)
    by_part = {part_name(f"target:{target.name}", 0): target for target in corpus.settings.targets}

    def write(part: str) -> tuple[int, int]:
        target = by_part[part]
        table = _target_table(target.name, Path(target.path), corpus.settings.duplicates)
        stage.commit(part, table, counts={"read": table.num_rows, "kept": table.num_rows})
        return table.num_rows, 0

    return corpus.run(stage, list(by_part), write, on_driver=True)


def _target_table(name: str, path: Path, settings: Any) -> pa.Table:
    from pipelines.records import document_id

    rows: dict[bytes, tuple[str, str]] = {}
    with fsspec.open(str(path), "rt", encoding="utf-8", compression="infer") as file:
        for number, line in enumerate(file, 1):
            try:
                record = json.loads(line)
                text, group = record["text"], str(record.get("group", ""))
                identity = document_id("target", str(record.get("id") or text))
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{path}:{number}: a target's line is JSON with `text` (and `id`, `group`): {error}"
                ) from None
            if text.strip():
                rows[identity] = (text, group)
    if len(rows) < 2:
        raise InputError(f"{path}: target {name!r} has {len(rows)} documents; it needs at least two, to be split")
    texts = [text for text, _ in rows.values()]
    split = ["search" if identity[0] < 128 else "final" for identity in rows]
    if len(set(split)) < 2:
        raise InputError(
            f"{path}: all {len(rows)} documents of target {name!r} fall, by id, into its {split[0]} half; add some"
        )
    table = minhash.signatures(texts, settings)
    for column, values in (("text", texts), ("group", [group for _, group in rows.values()]), ("split", split)):
        table = table.append_column(column, pa.array(values, pa.string()))
    table = table.append_column("target", pa.array([name] * len(rows), pa.string()))
    return table.add_column(0, pa.field("id", ID, nullable=False), pa.array(list(rows), ID))


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
        from pipelines.embed import distilled

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
    from pipelines import embed

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
    from pipelines import cluster

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


__all__ = [
    "run_documents", "run_duplicates", "run_edits", "run_embeddings", "run_fine_clusters", "run_signals",
    "run_signatures", "run_targets", "run_tokens", "run_verdicts",
]  # fmt: skip
