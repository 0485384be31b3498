"""Texts to shards: every document of a shard, in the order that was drawn, from all parts that have some.

Texts travel once, in batches keyed by shard, through the engine's group-by, as many shards a pass as the memory
setting holds. Each shard's sidecar lies in `_making/` until the manifest is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixer.export.draw import Candidates
from mixer.export.shards import (
    COLUMNS,
    NANOCHAT_CHARS,
    Layout,
    Put,
    ShardFile,
    Split,
    hex_ids,
    plan_shards,
    write_shard,
)
from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.edits.spans import texts_after
from pipelines.row_numbers import ordinals, places
from pipelines.store import Stage, aligned

MAKING = "_making"
COPIES_IN_MEMORY = 6  # of a shard's text on its way: batches, encoded elements, table, file


@dataclass(frozen=True)
class _Shard:
    number: int
    name: str
    split: Split


def written(
    corpus: Corpus,
    stage: Stage,
    candidates: Candidates,
    drawn: Mapping[Split, np.ndarray],
    starts: Sequence[int] = (),
) -> tuple[list[ShardFile], int]:
    """All files, and how many were there already; `drawn` are the candidates of each split in their final order.

    `starts`: the first training row of each phase but the first.
    """
    settings = corpus.settings
    layout: Layout = settings.dataset.format
    size = min(settings.dataset.shard_bytes, NANOCHAT_CHARS) if layout == "nanochat" else settings.dataset.shard_bytes
    shards: list[_Shard] = []
    number = np.empty(sum(map(len, drawn.values())), np.int64)
    first = 0
    for split, rows in drawn.items():
        plan = plan_shards(
            layout,
            split,
            candidates.num_bytes[rows],
            candidates.clusters[rows],
            size,
            num_before=len(shards),
            starts=starts if split == "train" else (),
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
    numbers = candidates.places[rows[positions]]
    of_parts = ordinals(numbers)
    sources = {}
    for ordinal in np.unique(of_parts).tolist():
        mine = of_parts == ordinal
        crawl, part = candidates.parts[ordinal]
        sources[str(ordinal)] = _Source(
            part=part,
            documents=lineage.documents(corpus, crawl),
            edits=lineage.cuts(corpus, crawl),
            signals=lineage.signals(corpus, crawl),
            rows=places(numbers[mine]),
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
    documents = source.documents.read(source.part, ("id", "text", "url", "source", "licence", "licence_id"))
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
            "licence_id": chosen["licence_id"],
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
    _write_tally(stage, key, table.select(["source", "licence", "licence_id", "token_count", "language"]))
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
