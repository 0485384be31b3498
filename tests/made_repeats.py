"""Workspaces with what comes before `repeats`, written by hand, and what it makes of their documents."""

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
from made_crawls import WORDS

from pipelines import lineage
from pipelines.corpus import Corpus, choose, keep, opened
from pipelines.crawls import register
from pipelines.duplicates.repeats import run_repeats
from pipelines.edits.chain import edits as chain
from pipelines.edits.spans import texts_after
from pipelines.records import ID, document_id
from pipelines.store import Stage, Workspace, part_name

CHANGES = (
    "edits.c4_lines=false",
    "engine.workers=1",
    "repeats.units=['lines', 'paragraphs', 'sentences', 'spans']",
    "repeats.min_words=3",
    "repeats.min_doc_words=0",
    "repeats.min_doc_sentences=0",
)
Rows = Sequence[Mapping[str, str]]
Crawls = Mapping[str, Mapping[str, Rows]]


def made(root: Path, crawls: Crawls, changes: Sequence[str] = ()) -> Corpus:
    """A workspace with what comes before this stage, written by hand. A row's `why` is its verdict."""
    workspace = Workspace(str(root / "ws"))
    keep(workspace, choose(workspace, None, preset=None, changes=[*CHANGES, *changes]))
    for crawl in crawls:
        (root / crawl).mkdir(parents=True)
        (root / crawl / "empty.jsonl").touch()
        register(workspace, crawl, [str(root / crawl)])
    corpus = opened(workspace)
    lineage.targets(corpus).seal([])
    for crawl, files in crawls.items():
        parts = {part_name(name, 0): rows for name, rows in files.items()}
        for stage, columns in (
            (lineage.documents(corpus, crawl), documents),
            (lineage.edits(corpus, crawl), lambda rows: {"edits": chain(texts_of(rows), corpus.settings.edits)[0]}),
            (lineage.verdicts(corpus, crawl), lambda rows: {"reason": strings([row.get("why") for row in rows])}),
            (lineage.signatures(corpus, crawl), lambda rows: {}),
        ):
            lay(stage, parts, columns)
    return corpus


def run(corpus: Corpus, crawls: Crawls, *names: str) -> None:
    """Duplicates, of which there are those that a row names as `copy`, and the stage itself."""
    for crawl in names or crawls:
        parts = {part_name(name, 0): rows for name, rows in crawls[crawl].items()}
        lay(
            lineage.duplicates(corpus, crawl),
            parts,
            lambda rows: {
                "duplicate_of": pa.array([row["copy"].encode() if "copy" in row else None for row in rows], ID)
            },
        )
        run_repeats(corpus, crawl)


def lay(stage: Stage, parts: Mapping[str, Rows], columns: Callable[[Rows], Mapping[str, object]]) -> None:
    for part, rows in parts.items():
        ids = pa.array([document_id(row["name"]) for row in rows], ID)
        stage.commit(part, pa.table({"id": ids, **columns(rows)}), counts={})
    stage.seal(list(parts))


def documents(rows: Rows) -> Mapping[str, object]:
    return {"url": strings([row["name"] for row in rows]), "text": texts_of(rows)}


def texts_of(rows: Rows) -> pa.Array:
    return strings([row["text"] for row in rows])


def strings(values: Sequence[str | None]) -> pa.Array:
    return pa.array(values, pa.string())


def said(corpus: Corpus) -> dict[str, tuple[str, str | None]]:
    """name -> (text after this stage, why it was dropped)."""
    found = {}
    for crawl in corpus.crawls:
        read, cutting = lineage.documents(corpus, crawl.name), lineage.repeats(corpus, crawl.name)
        for part in read.sidecars():
            rows, cut = read.read(part), cutting.read(part)
            texts = texts_after(rows["text"], cut["edits"])
            found |= {
                name: (text, reason)
                for name, text, reason in zip(rows["url"].to_pylist(), texts, cut["reason"].to_pylist(), strict=True)
            }
    return found


def by_id(rows: Rows) -> list[str]:
    return sorted((row["name"] for row in rows), key=document_id)


def digests(corpus: Corpus, crawl: str) -> object:
    manifest = lineage.repeats(corpus, crawl).finished()
    return manifest["content"], manifest["counts"]


def sentence(rng: random.Random, count: int) -> str:
    return " ".join(rng.choices(WORDS, k=count)).capitalize() + "."
