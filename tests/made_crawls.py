"""Crawls of short documents for the duplicates: real files and signatures, verdicts by a brace in the text."""

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from pipelines import lineage
from pipelines.corpus import Corpus, choose, keep, opened
from pipelines.crawls import register
from pipelines.duplicates.groups import run_duplicates
from pipelines.ingest import run_documents
from pipelines.records import ID
from pipelines.stages import run_signatures
from pipelines.store import Workspace
from pipelines.targets import run_targets

# Shingles are words, and all pairs that share one meet: what is kept follows from exact similarities alone.
CHANGES = (
    "duplicates.ngram=1",
    "duplicates.bands=40",
    "duplicates.rows=1",
    "duplicates.min_jaccard=0.5",
    "engine.workers=1",
)
WORDS = ["".join(letters) for letters in itertools.product("bdfgklmnprstvz", "aeiou", "bdfgklmnprstvz", "aeiou")]

Rows = Sequence[Mapping[str, str]]
Crawls = Mapping[str, Mapping[str, Rows]]  # crawl -> file -> rows


def document(name: str, words: Sequence[str]) -> dict[str, str]:
    return {"id": name, "url": name, "text": " ".join(words)}


def workspace(root: Path, crawls: Crawls, targets: Rows = (), changes: Sequence[str] = ()) -> Workspace:
    """The files, and a workspace with settings; no crawl is registered yet."""
    made = Workspace(str(root / "ws"))
    given = []
    if targets:
        write(root / "target.jsonl", targets)
        given = [f"target={root / 'target.jsonl'}"]
    keep(made, choose(made, None, preset=None, changes=[*CHANGES, *changes], targets=given))
    for crawl, files in crawls.items():
        for name, rows in files.items():
            write(root / crawl / name, rows)
    return made


def write(path: Path, rows: Rows) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def add(root: Path, crawl: str) -> Corpus:
    """Register a crawl's files and run what comes before its duplicates."""
    register(Workspace(str(root / "ws")), crawl, [str(root / crawl)])
    corpus = opened(Workspace(str(root / "ws")))
    run_targets(corpus)
    run_documents(corpus, crawl)
    run_signatures(corpus, crawl)
    judge(corpus, crawl)
    return corpus


def judge(corpus: Corpus, crawl: str) -> None:
    """Verdicts: a document with a brace is dropped."""
    documents, verdicts = lineage.documents(corpus, crawl), lineage.verdicts(corpus, crawl)
    parts = [part["part"] for part in documents.finished()["parts"]]
    for part in parts:
        rows = documents.read(part, ["id", "text"])
        reasons = ["curly_bracket" if "{" in text else None for text in rows["text"].to_pylist()]
        schema = pa.schema([pa.field("id", ID, nullable=False), pa.field("reason", pa.string())])
        columns = [rows["id"].combine_chunks(), pa.array(reasons, pa.string())]
        verdicts.commit(part, pa.table(columns, schema=schema), counts={})
    verdicts.seal(parts)


def duplicates(root: Path, crawls: Crawls, targets: Rows = (), changes: Sequence[str] = ()) -> Corpus:
    """A corpus with the duplicates of all crawls."""
    workspace(root, crawls, targets, changes)
    for crawl in crawls:
        corpus = add(root, crawl)
        run_duplicates(corpus, crawl)
    return corpus
