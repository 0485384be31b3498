"""Semantic duplicates: documents of a fine cluster whose vectors nearly agree.

SemDeDup (Abbas et al. 2023, section 3): only pairs within a k-means cluster are compared, by cosine similarity, and
of a group the document keeps that is least like the cluster's centroid (`hard`), most like it (`easy`), or any
(`random`, by id). Rows are taken in that order, earlier crawls first, and a row is dropped if one that is kept
already is at least `threshold` similar; its keeper is the most similar such row. The authors' code also lets a
dropped row drop others, so that similarity fades along a chain; here whatever is dropped is near to what stays.

No cluster need fit into memory: vectors lie in files by part, and near.py compares them block by block.
"""

import os
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines import lineage
from pipelines.columns import Inputs, dropping, kept_rows
from pipelines.corpus import Corpus, Report
from pipelines.duplicates.near import Floats, near_kept
from pipelines.engine import run_map, scratch_folder
from pipelines.records import ID, ID_WORDS, id_column
from pipelines.row_numbers import I64, U64, index_of, numbered, of_part, places
from pipelines.store import Stage, aligned
from pipelines.vectors.column import matrix

SEMANTIC = pa.schema(
    [
        pa.field("id", ID, nullable=False),
        pa.field("semantic_duplicate_of", ID),
        pa.field("similarity", pa.float32()),  # with it; null where nothing is
    ]
)
NUM_TASKS = 64  # clusters are dealt to them by number


@dataclass(frozen=True)
class Source:
    """A part's vectors, and which of its rows take part."""

    name: str
    ordinal: int
    age: int
    embeddings: Stage
    fine_clusters: Stage
    drops: Inputs  # of all stages before; of an earlier crawl, `semantic` among them
    own: bool  # of this crawl


@dataclass(frozen=True)
class Found:
    """This crawl's semantic duplicates by row number, ascending."""

    rows: U64
    keepers: npt.NDArray[np.void]  # ids, ID_WORDS
    similarities: Floats


def run_semantic(corpus: Corpus, crawl: str) -> Report:
    """Find this crawl's semantic duplicates within itself and of what earlier crawls keep; none at threshold 0."""
    stage = lineage.semantic(corpus, crawl)
    sources = _sources(corpus, crawl)
    own = {source.name: source for source in sources if source.own}
    search = _Search(corpus, sources)

    def write(part: str) -> tuple[int, int]:
        table, counts = _rows_of(own[part], search.found)
        stage.commit(part, table, counts=counts)
        return table.num_rows, 0

    return corpus.run(stage, list(own), write, on_driver=True)


def _sources(corpus: Corpus, crawl: str) -> tuple[Source, ...]:
    order = corpus.crawl(crawl).order
    found: list[Source] = []
    for other in corpus.crawls[: order + 1]:
        embeddings, clusters = lineage.embeddings(corpus, other.name), lineage.fine_clusters(corpus, other.name)
        own = other.order == order
        drops = dropping(corpus, other.name, clustered=not own)
        found += [
            Source(part["part"], ordinal, other.order, embeddings, clusters, drops, own)
            for ordinal, part in enumerate(lineage.documents(corpus, other.name).finished()["parts"], len(found))
        ]
    return tuple(found)


def _rows_of(source: Source, found: Found) -> tuple[pa.Table, dict[str, Any]]:
    """The part's rows of `semantic`, aligned with its documents."""
    ids, _, _, kept = _judged(source)
    mine = of_part(found.rows, source.ordinal)
    lost = places(found.rows[mine])
    at = index_of(lost, len(ids))
    columns = [ids, id_column(found.keepers[mine]).take(at), pa.array(found.similarities[mine]).take(at)]
    table = pa.table(columns, schema=SEMANTIC)
    read, dropped = int(kept.sum()), len(lost)  # what is not embedded stays, as far as vectors say
    return table, {"read": read, "kept": read - dropped, "dropped": {"semantic_duplicate": dropped}}


def _judged(source: Source) -> tuple[pa.Array, pa.Table, npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(ids, cluster and distance, bool [rows]: embedded and kept by all stages before, bool [rows]: kept)."""
    clusters = source.fine_clusters.read(source.name, ["id", "cluster", "distance"])
    embedded = source.embeddings.read(source.name, ["id", "embedded"])
    whys = {name: stage.read(source.name, ["id", *columns]) for name, (stage, columns) in source.drops.items()}
    aligned(clusters, embedded, *whys.values())
    kept = kept_rows(whys)
    return clusters["id"].combine_chunks(), clusters, kept & np.asarray(embedded["embedded"]), kept


# ---------------------------------------------------------------------------------------------------------
# The search


@dataclass(frozen=True)
class _Search:
    corpus: Corpus
    sources: tuple[Source, ...]

    @cached_property
    def found(self) -> Found:
        """Worked out only when a part is missing."""
        settings, engine = self.corpus.settings.semantic, self.corpus.settings.engine
        rows, keepers, similarities = [np.empty(0, np.uint64)], [np.empty(0, ID_WORDS)], [np.empty(0, np.float32)]
        if settings.threshold > 0:
            with scratch_folder("semantic") as scratch:
                run_map(_Spill(self.sources, scratch), [str(one.ordinal) for one in self.sources], engine)
                share = engine.memory_bytes // (engine.workers or os.cpu_count() or 1)
                ages = tuple(source.age for source in self.sources)
                task = _Compare(ages, settings.keep, settings.threshold, share, scratch)
                items = [str(number) for number in range(NUM_TASKS)]
                run_map(task, items, engine)
                for item in items:
                    with np.load(scratch / f"found-{item}.npz") as found:
                        rows.append(found["rows"])
                        keepers.append(found["keepers"].view(ID_WORDS))
                        similarities.append(found["similarities"])
        every = np.concatenate(rows)
        order = np.argsort(every)
        return Found(every[order], np.concatenate(keepers).astype(ID_WORDS)[order], np.concatenate(similarities)[order])


@dataclass(frozen=True)
class _Spill:
    """Writes one part's judged rows by task and cluster: vectors, and what orders them."""

    sources: tuple[Source, ...]
    scratch: Path

    def __call__(self, item: str) -> None:
        source = self.sources[int(item)]
        ids, clusters, judged, _ = _judged(source)
        cluster = np.asarray(clusters["cluster"])
        chosen = np.flatnonzero(judged & (cluster >= 0))
        chosen = chosen[np.lexsort((cluster[chosen], cluster[chosen] % NUM_TASKS))]
        vectors = matrix(source.embeddings.read(source.name, ["vector"])["vector"])[chosen]
        words = np.frombuffer(b"".join(ids.take(pa.array(chosen)).to_pylist()), np.uint8)
        bounds = np.searchsorted(cluster[chosen] % NUM_TASKS, np.arange(NUM_TASKS + 1))
        saved = {"vectors": vectors, "ids": words, "clusters": cluster[chosen], "rows": chosen, "bounds": bounds}
        for name, array in {**saved, "distances": np.asarray(clusters["distance"])[chosen]}.items():
            np.save(self.scratch / f"{name}-{item}.npy", array)


@dataclass(frozen=True)
class _Compare:
    """Writes the semantic duplicates of one task's clusters."""

    ages: tuple[int, ...]  # of the parts
    keep: str
    threshold: float
    memory_bytes: int
    scratch: Path

    def __call__(self, item: str) -> None:
        members = self._members(int(item))
        ages = np.array(self.ages, np.int64)[members.parts]
        first = members.distances * np.float32({"hard": -1, "easy": 1, "random": 0}[self.keep])
        order = np.lexsort((members.ids["low"], members.ids["high"], first, ages, members.clusters))
        bounds = np.flatnonzero(np.diff(members.clusters[order], prepend=-1, append=-1))
        vectors = [np.load(self.scratch / f"vectors-{part}.npy", mmap_mode="r") for part in range(len(self.ages))]
        rows, keepers, similarities = [np.empty(0, np.uint64)], [np.empty(0, ID_WORDS)], [np.empty(0, np.float32)]
        for begin, end in pairwise(bounds):
            one = order[begin:end]
            num_fixed = int((ages[one] < self.ages[-1]).sum())  # this crawl's parts come last
            if num_fixed == end - begin or end - begin == 1:
                continue
            gathered = _Gathered(vectors, members.parts[one], members.places[one])
            keeper, similarity = near_kept(
                gathered, num_fixed, self.threshold, memory_bytes=self.memory_bytes, scratch=self.scratch
            )
            lost = np.flatnonzero(keeper >= 0)
            rows.append(members.rows[one[lost]])
            keepers.append(members.ids[one[keeper[lost]]])
            similarities.append(similarity[lost])
        np.savez(
            self.scratch / f"found-{item}.npz",
            rows=np.concatenate(rows),
            keepers=np.concatenate(keepers).astype(ID_WORDS).view(np.uint8),
            similarities=np.concatenate(similarities),
        )

    def _members(self, task: int) -> "_Members":
        """The rows of all clusters of a task, part by part."""
        found: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in _Members.__dataclass_fields__}
        for part in range(len(self.ages)):
            loaded = {
                name: np.load(self.scratch / f"{name}-{part}.npy", mmap_mode="r")
                for name in ("bounds", "rows", "clusters", "distances", "ids")
            }
            begin, end = loaded["bounds"][task : task + 2].tolist()
            found["parts"].append(np.full(end - begin, part))
            found["places"].append(np.arange(begin, end))
            found["rows"].append(numbered(loaded["rows"][begin:end], part))
            found["clusters"].append(loaded["clusters"][begin:end].astype(np.int64))
            found["distances"].append(np.array(loaded["distances"][begin:end]))
            found["ids"].append(np.array(loaded["ids"][16 * begin : 16 * end]).view(ID_WORDS))
        return _Members(**{name: np.concatenate(arrays) for name, arrays in found.items()})


@dataclass(frozen=True)
class _Members:
    parts: I64
    places: I64  # in the part's file of vectors
    rows: U64
    clusters: I64
    distances: Floats
    ids: npt.NDArray[np.void]


@dataclass(frozen=True)
class _Gathered:
    """Vectors of one cluster in keeper order, read from the parts' files as they are asked for."""

    vectors: list[npt.NDArray[np.float16]]
    parts: I64
    places: I64

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.parts), self.vectors[0].shape[1]

    def __getitem__(self, span: slice) -> Floats:
        parts, places = self.parts[span], self.places[span]
        found = np.empty((len(parts), self.shape[1]), np.float32)
        for part in np.unique(parts):
            mine = parts == part
            found[mine] = self.vectors[part][places[mine]]
        return found
