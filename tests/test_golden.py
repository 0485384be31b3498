"""The same input gives the same output, from commit to commit: content digests of the tiny corpus.

Of text and integer stages, which are exact everywhere; vectors, and so semantic duplicates, and classifiers' scores
are exact on one machine only. After a change that is meant, raise the stage's number in pipelines/lineage.py (a
dialect's in pipelines/quality/dialects.py) and write the digests again:

    SIRDAR_WRITE_GOLDEN=1 python -m pytest tests/test_golden.py
"""

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.digest import content_digest
from pipelines.quality import dialects
from pipelines.store import Stage

GOLDEN = Path(__file__).with_name("golden.json")
OF_CRAWLS = ("documents", "edits", "verdicts", "signatures", "duplicates", "tokens")
OF_ALL = ("targets", "tokenizer")
ASKED_FOR = ("contamination", "repeats")


def _stages(corpus: Corpus, name: str) -> list[Stage]:
    address = getattr(lineage, name)
    return [address(corpus)] if name in OF_ALL else [address(corpus, crawl.name) for crawl in corpus.crawls]


def _golden(corpus: Corpus, name: str) -> dict[str, Any]:
    if name in dialects.VERSIONS:
        return {"version": dialects.VERSIONS[name], "contents": [_signals(corpus, name)]}
    stages = _stages(corpus, name)
    return {"version": stages[0].recipe.version, "contents": [stage.finished()["content"] for stage in stages]}


def _signals(corpus: Corpus, dialect: str) -> str:
    """Digest of a dialect's columns of all documents."""
    stages = _stages(corpus, "documents")
    texts = [stage.read(part, ["text"])["text"] for stage in stages for part in sorted(stage.sidecars())]
    return content_digest(
        dialects.signals(pa.chunked_array([chunk for text in texts for chunk in text.chunks]), [dialect])
    )


def _libraries(corpus: Corpus) -> dict[str, str]:
    """Of all stages: a later one's output depends on an earlier one's libraries."""
    every = [stage for name in (*OF_CRAWLS, *OF_ALL, "signals") for stage in _stages(corpus, name)]
    return {name: version for stage in every for name, version in stage.recipe.libraries.items()}


@pytest.fixture(scope="module")
def found(built: Corpus, all_on: Corpus) -> dict[str, dict[str, Any]]:
    """name -> version and content digests, of every stage and dialect that this file holds."""
    made = {name: _golden(built, name) for name in (*OF_CRAWLS, *OF_ALL, *dialects.VERSIONS)}
    return made | {name: _golden(all_on, name) for name in ASKED_FOR}


def test_golden_digests_are_written_when_asked_for(found: dict[str, Any], built: Corpus) -> None:
    if not os.environ.get("SIRDAR_WRITE_GOLDEN"):
        pytest.skip("only with SIRDAR_WRITE_GOLDEN=1")
    GOLDEN.write_text(json.dumps({**found, "libraries": _libraries(built)}, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize("name", [*OF_CRAWLS, *OF_ALL, *ASKED_FOR, *dialects.VERSIONS])
def test_output_changes_with_its_version_only(found: dict[str, Any], built: Corpus, name: str) -> None:
    written = json.loads(GOLDEN.read_text())
    ours, golden = found[name], written[name]
    if _libraries(built) != written["libraries"]:
        pytest.skip(f"the digests were written with other libraries: {written['libraries']}")
    if ours["contents"] == golden["contents"] and ours["version"] == golden["version"]:
        return
    place = "pipelines/quality/dialects.py" if name in dialects.VERSIONS else "pipelines/lineage.py"
    if ours["version"] == golden["version"]:
        told = (
            f"the output of {name} changed and its version did not: workspaces would mix old parts with new ones. "
            f"Raise VERSIONS[{name!r}] in {place} (where the change is of an earlier stage, raise that "
            "one's), then write the digests again"
        )
    else:
        told = f"{name} has version {found['version']}, its digest is of {golden['version']}; write the digests again"
    pytest.fail(f"{told}: SIRDAR_WRITE_GOLDEN=1 python -m pytest tests/test_golden.py", pytrace=False)
