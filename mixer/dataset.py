"""The dataset: documents drawn by the mixture, shuffled over all crawls, written as shards with card and manifest.

The draw and the order are small tables on the driver. Texts travel once, in batches keyed by shard, through
the engine's group-by, as many shards a pass as the memory setting holds. Each shard's sidecar lies in
`_making/` until the manifest is written; a killed export goes on with the shards that are missing.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixer import lineage as mixing
from mixer import manifest as manifests
from mixer.card import card
from mixer.selection import Selection, select
from mixer.shards import COLUMNS, NANOCHAT_CHARS, Layout, Put, ShardFile, Split, hex_ids, plan_shards, write_shard
from pipelines import lineage
from pipelines.corpus import Corpus, Report
from pipelines.edits.spans import texts_after
from pipelines.records import ID_WORDS
from pipelines.store import Stage, aligned

MAKING = "_making"
COPIES_IN_MEMORY = 6  # of a shard's text on its way: batches, encoded elements, table, file
ROW_BITS = 32


@dataclass(frozen=True)
class Candidates:
    """Every pooled document as arrays, in the order of (crawl, part, row)."""

    parts: tuple[tuple[str, str], ...]  # (crawl, part) by ordinal
    places: np.ndarray  # uint64, part ordinal << 32 | row
    ids: np.ndarray  # uint8 [n, 16]
    clusters: np.ndarray
    num_tokens: np.ndarray
    num_bytes: np.ndarray
    validation: np.ndarray
    texts: np.ndarray  # ID_WORDS: digests of the texts after edits
    num_outside: int = field(kw_only=True)  # documents with tokens and in no cluster


def write_dataset(corpus: Corpus, found: Mapping[str, Any], comparison: Mapping[str, Any] | None) -> Report:
    """Write `dataset/<name>/<version>`, or what is missing of it; `found` is mixture.json."""
    started = time.monotonic()
    stage = mixing.dataset(corpus)
    if corpus.workspace.exists(*stage.steps, manifests.NAME):
        manifest = manifests.read(_bytes_of(stage, manifests.NAME))
        if corpus.workspace.names(*stage.steps, MAKING):  # killed between the manifest and the tidying
            corpus.workspace.delete(*stage.steps, MAKING)
        return corpus.report(stage, _told(manifest), started, parts=len(manifest["files"]), todo=0)
    with stage.lease():
        candidates = _candidates(corpus)
        train = np.flatnonzero(~candidates.validation)
        selection = _selected(corpus, candidates, train, found["weights"])
        held, num_seen = _held_out(candidates, train, corpus.settings.dataset.seed)
        drawn: dict[Split, np.ndarray] = {"train": train[selection.rows], "validation": held}
        files, reused = _written(corpus, stage, candidates, drawn)
        notes = [f"{num_seen} held-out documents left out, since their text after edits also stands in training."]
        manifest = _manifest(
            corpus,
            stage,
            files,
            selection,
            found,
            funnel=_funnel(corpus, candidates),
            comparison=comparison,
            notes=notes if num_seen else [],
        )
        with corpus.workspace.writing(*stage.steps, manifests.CARD) as file:
            file.write(card(manifest).encode())
        with corpus.workspace.writing(*stage.steps, manifests.NAME) as file:
            file.write(manifests.written(manifest))
        corpus.workspace.delete(*stage.steps, MAKING)
    return corpus.report(stage, _told(manifest), started, parts=len(files), todo=len(files) - reused)


def _told(manifest: Mapping[str, Any]) -> dict[str, Any]:
    train, held = manifest["splits"]["train"], manifest["splits"]["validation"]
    counts = {"train_tokens": train["tokens"], "validation_tokens": held["tokens"], "shards": len(train["files"])}
    return {"rows": train["rows"] + held["rows"], "content": manifest["digest"], "counts": counts}


def _bytes_of(stage: Stage, name: str) -> bytes:
    with stage.workspace.open(*stage.steps, name) as file:
        return bytes(file.read())


# ---------------------------------------------------------------------------------------------------------
# The draw


def _candidates(corpus: Corpus) -> Candidates:
    from pipelines.fitting import read_clusters
    from pipelines.pooling import pooled_parts

    _, merged = read_clusters(corpus)
    parts, columns, num_outside = [], [], 0
    for ordinal, (crawl, part, rows) in enumerate(pooled_parts(corpus, merged, ("num_bytes", "text_digest"))):
        parts.append((crawl, part))
        pooled = np.flatnonzero(np.asarray(rows["bucket"]) >= 0)
        num_outside += int((np.asarray(rows["num_tokens"]) > 0).sum()) - len(pooled)
        mine = rows.take(pooled)
        raw = b"".join(mine["id"].to_pylist())
        columns.append(
            (
                pooled.astype(np.uint64) | np.uint64(ordinal << ROW_BITS),
                np.frombuffer(raw, np.uint8).reshape(-1, 16),
                *(np.asarray(mine[name]) for name in ("bucket", "num_tokens", "num_bytes", "validation")),
                np.frombuffer(b"".join(mine["text_digest"].to_pylist()), ID_WORDS),
            )
        )
    arrays = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Candidates(tuple(parts), *arrays, num_outside=num_outside)


def _selected(corpus: Corpus, candidates: Candidates, train: np.ndarray, weights: Sequence[float]) -> Selection:
    settings = corpus.settings.dataset
    return select(
        candidates.ids[train],
        candidates.clusters[train],
        candidates.num_tokens[train],
        weights,
        budget=settings.tokens,
        max_epochs=settings.max_epochs,
        seed=settings.seed,
    )


# ---------------------------------------------------------------------------------------------------------
# The shuffle


@dataclass(frozen=True)
class _Shard:
    number: int
    name: str
    split: Split


def _written(
    corpus: Corpus, stage: Stage, candidates: Candidates, drawn: Mapping[Split, np.ndarray]
) -> tuple[list[ShardFile], int]:
    """All files, and how many were there already; `drawn` are the candidates of each split in their final order."""
    settings = corpus.settings
    layout: Layout = settings.dataset.format
    size = min(settings.dataset.shard_bytes, NANOCHAT_CHARS) if layout == "nanochat" else settings.dataset.shard_bytes
    shards: list[_Shard] = []
    number = np.empty(sum(map(len, drawn.values())), np.int64)
    first = 0
    for split, rows in drawn.items():
        plan = plan_shards(
            layout, split, candidates.num_bytes[rows], candidates.clusters[rows], size, num_before=len(shards)
        )
        number[first : first + len(rows)] = plan.shards + len(shards)
        shards += [_Shard(len(shards) + k, name, split) for k, name in enumerate(plan.names)]
        first += len(rows)
    rows = np.concatenate(list(drawn.values()))
    made = {name.removesuffix(".json") for name in corpus.workspace.names(*stage.steps, MAKING)}
    todo = [shard for shard in shards if str(shard.number) not in made]
    corpus.progress.begin("dataset", settings.dataset.name, total=len(shards), done=len(shards) - len(todo))
    per_pass = max(1, settings.engine.memory_bytes // (size * COPIES_IN_MEMORY))
    for start in range(0, len(todo), per_pass):
        _shuffle(corpus, stage, candidates, rows, number, todo[start : start + per_pass])
        corpus.progress.advance(len(todo[start : start + per_pass]), 0)
    listed = [corpus.workspace.read_json(*stage.steps, MAKING, f"{shard.number}.json") for shard in shards]
    reused = sum(len(files) for shard, files in zip(shards, listed, strict=True) if str(shard.number) in made)
    return [ShardFile(**{**file, "columns": tuple(file["columns"])}) for files in listed for file in files], reused


def _held_out(candidates: Candidates, train: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """Validation documents once each, in an order that only their ids decide, and how many training has too."""
    every = np.flatnonzero(candidates.validation)
    seen = np.isin(candidates.texts[every], candidates.texts[train])
    held = every[~seen]
    if not len(held):
        return held, int(seen.sum())
    tokens = candidates.num_tokens[held]
    order = select(
        candidates.ids[held], np.zeros(len(held), np.int64), tokens, [1.0],
        budget=int(tokens.sum()), max_epochs=1.0, seed=seed,
    )  # fmt: skip
    return held[order.rows], int(seen.sum())


def _shuffle(
    corpus: Corpus,
    stage: Stage,
    candidates: Candidates,
    rows: np.ndarray,
    number: np.ndarray,
    shards: Sequence[_Shard],
) -> None:
    """One pass: the texts of these shards from all parts that have some, each shard sorted and written."""
    from pipelines.beam import run_group_by  # Beam takes seconds to import

    wanted = np.isin(number, [shard.number for shard in shards])
    positions = np.flatnonzero(wanted)
    places = candidates.places[rows[positions]]
    ordinals = (places >> np.uint64(ROW_BITS)).astype(np.int64)
    sources = {}
    for ordinal in np.unique(ordinals).tolist():
        mine = ordinals == ordinal
        crawl, part = candidates.parts[ordinal]
        sources[str(ordinal)] = _Source(
            part=part,
            documents=lineage.documents(corpus, crawl),
            edits=lineage.cuts(corpus, crawl),
            signals=lineage.signals(corpus, crawl),
            rows=(places[mine] & np.uint64((1 << ROW_BITS) - 1)).astype(np.int64),
            positions=positions[mine],
            shards=number[positions[mine]],
            num_tokens=candidates.num_tokens[rows[positions[mine]]].astype(np.int32),
            clusters=candidates.clusters[rows[positions[mine]]].astype(np.int32),
        )
    by_number = {shard.number: shard for shard in shards}
    reduce = partial(_write_shard, stage, by_number, corpus.settings.dataset.format)
    run_group_by(partial(_emit, sources), reduce, list(sources), corpus.settings.engine)


@dataclass(frozen=True)
class _Source:
    """One part's draws of a pass: which rows, where they go, and what the driver knows of them."""

    part: str
    documents: Stage
    edits: Stage
    signals: Stage
    rows: np.ndarray
    positions: np.ndarray
    shards: np.ndarray
    num_tokens: np.ndarray
    clusters: np.ndarray


def _emit(sources: Mapping[str, _Source], item: str) -> Iterator[tuple[int, tuple[np.ndarray, pa.Table]]]:
    source = sources[item]
    documents = source.documents.read(source.part, ("id", "text", "url", "source", "licence"))
    edits = source.edits.read(source.part, ("id", "edits"))
    signals = source.signals.read(source.part, ("id", "language"))
    aligned(documents, edits, signals)
    unique, back = np.unique(source.rows, return_inverse=True)
    chosen = documents.take(unique)
    texts = texts_after(chosen["text"].to_pylist(), edits["edits"].take(unique))
    table = pa.table(
        {
            "id": hex_ids(chosen["id"].combine_chunks()),
            "text": pa.array(texts, pa.string()),
            "url": chosen["url"],
            "source": chosen["source"],
            "licence": chosen["licence"],
            "language": signals["language"].take(unique),
        }
    ).take(back)
    table = table.append_column("token_count", pa.array(source.num_tokens))
    table = table.append_column("cluster_id", pa.array(source.clusters)).select(COLUMNS.names)
    for shard in np.unique(source.shards).tolist():
        mine = np.flatnonzero(source.shards == shard)
        yield shard, (source.positions[mine], table.take(mine))


def _write_shard(
    stage: Stage,
    shards: Mapping[int, _Shard],
    layout: Layout,
    key: int,
    batches: Sequence[tuple[np.ndarray, pa.Table]],
) -> None:
    shard = shards[key]
    positions = np.concatenate([batch[0] for batch in batches])
    table = pa.concat_tables([batch[1] for batch in batches]).take(np.argsort(positions))
    files = write_shard(_put(stage), shard.name, shard.split, table, layout)
    _write_tally(stage, key, table.select(["source", "licence", "token_count", "language"]))
    stage.workspace.write_json([asdict(file) for file in files], *stage.steps, MAKING, f"{key}.json")


def _write_tally(stage: Stage, key: int, table: pa.Table) -> None:
    """What the card adds up over all shards: sources, licences, languages."""
    with stage.workspace.writing(*stage.steps, MAKING, f"{key}.tally") as file:
        pq.write_table(table, file)


def _put(stage: Stage) -> Put:
    def put(name: str, data: memoryview) -> None:
        with stage.workspace.writing(*stage.steps, *name.split("/")) as file:
            file.write(data)

    return put


# ---------------------------------------------------------------------------------------------------------
# Manifest


def _manifest(
    corpus: Corpus,
    stage: Stage,
    files: Sequence[ShardFile],
    selection: Selection,
    found: Mapping[str, Any],
    *,
    funnel: Sequence[Mapping[str, Any]],
    comparison: Mapping[str, Any] | None,
    notes: Sequence[str],
) -> dict[str, Any]:
    from pipelines import settings as configuration
    from pipelines.demo.crawls import ATTRIBUTIONS
    from pipelines.fitting import read_clusters

    table, _ = read_clusters(corpus)
    names = dict(zip(table["cluster"].to_pylist(), table["name"].to_pylist(), strict=True))
    settings = configuration.dumped(corpus.settings)
    del settings["engine"]  # how it was made changes no byte of it
    for target in settings["targets"]:
        target["path"] = target["path"].rsplit("/", 1)[-1]  # its content is in the digests; where it lay is nobody's
    return manifests.build(
        name=corpus.settings.dataset.name,
        version=stage.recipe.digest,
        layout=corpus.settings.dataset.format,
        files=files,
        selection=selection.report,
        cluster_names=names,
        baselines=found["others"],
        funnel=funnel,
        settings=settings,
        inputs=_inputs(corpus, stage),
        models=_models(corpus),
        comparison=comparison,
        notes=notes,
        **_tallied(stage, ATTRIBUTIONS),
    )


def _tallied(stage: Stage, attributions: Mapping[str, str]) -> dict[str, Any]:
    """Licences and languages over all shards, from what each wrote down of itself."""
    names = [name for name in stage.workspace.names(*stage.steps, MAKING) if name.endswith(".tally")]
    tables = (stage.workspace.read_table(*stage.steps, MAKING, name) for name in names)
    return manifests.tallied(tables, attributions)


def _funnel(corpus: Corpus, candidates: Candidates) -> list[dict[str, Any]]:
    """read, kept, dropped and errors of the stages that drop documents, over all crawls, and of the pools."""
    from pipelines.corpus import added

    rows = []
    for name in ("documents", "verdicts", "duplicates"):
        counts = added([getattr(lineage, name)(corpus, crawl.name).finished()["counts"] for crawl in corpus.crawls])
        rows.append(
            {
                "stage": name,
                "read": counts["read"],
                "kept": counts["kept"],
                "dropped": counts.get("dropped", {}),
                "errors": counts.get("errors", {}),
            }
        )
    read, pooled = rows[-1]["kept"], len(candidates.ids)
    dropped = {
        "not_embedded_or_pruned": candidates.num_outside,
        "no_tokens": read - pooled - candidates.num_outside,
    }
    some = {reason: count for reason, count in dropped.items() if count}
    return [*rows, {"stage": "pools", "read": read, "kept": pooled, "dropped": some, "errors": {}}]


def _inputs(corpus: Corpus, stage: Stage) -> dict[str, str]:
    """Every stage folder that this dataset needs to be explained or built again; `sirdar clean` keeps them."""
    from mixer.inspection import stages

    needed = {one.label: one.recipe.digest for _, _, one in stages(corpus) if one and one.manifest()}
    for one in (mixing.search(corpus), mixing.mixture(corpus), mixing.comparison(corpus)):
        needed[one.label] = one.recipe.digest
    return {**needed, **{label: str(digest) for label, digest in stage.recipe.inputs.items()}}


def _models(corpus: Corpus) -> dict[str, str]:
    settings = corpus.settings
    scores = settings.clusters.scores
    return {
        "encoder": f"{settings.embeddings.encoder} of {settings.embeddings.model}",
        "cluster_scores": ", ".join(path.rsplit("/", 1)[-1] for path in scores) or "from the quality signals",
        "tokenizer": f"{settings.tokens.tokenizer}, {settings.tokens.vocabulary} entries"
        if settings.tokens.tokenizer == "bpe"
        else settings.tokens.tokenizer,
        "language": settings.language.model,
    }
