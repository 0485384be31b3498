"""The same input gives the same output, from commit to commit: content digests of the tiny corpus.

Of text and integer stages, which are exact everywhere; vectors are exact on one machine only. After a change
that is meant, raise the stage's number in pipelines/lineage.py and write the digests again:

    SIRDAR_WRITE_GOLDEN=1 python -m pytest tests/test_golden.py
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.store import Stage

GOLDEN = Path(__file__).with_name("golden.json")
OF_CRAWLS = ("documents", "edits", "verdicts", "signatures", "duplicates", "tokens")
OF_ALL = ("targets", "tokenizer")


def _stages(corpus: Corpus) -> dict[str, list[Stage]]:
    found = {name: [getattr(lineage, name)(corpus)] for name in OF_ALL}
    return found | {name: [getattr(lineage, name)(corpus, crawl.name) for crawl in corpus.crawls] for name in OF_CRAWLS}


def _golden(stages: list[Stage]) -> dict[str, Any]:
    return {"version": stages[0].recipe.version, "contents": [stage.finished()["content"] for stage in stages]}


def _libraries(corpus: Corpus) -> dict[str, str]:
    """Of all stages: a later one's output depends on an earlier one's libraries."""
    every = [stage for stages in _stages(corpus).values() for stage in stages]
    every += [lineage.signals(corpus, crawl.name) for crawl in corpus.crawls]
    return {name: version for stage in every for name, version in stage.recipe.libraries.items()}


def test_golden_digests_are_written_when_asked_for(built: Corpus) -> None:
    if not os.environ.get("SIRDAR_WRITE_GOLDEN"):
        pytest.skip("only with SIRDAR_WRITE_GOLDEN=1")
    found: dict[str, Any] = {name: _golden(stages) for name, stages in _stages(built).items()}
    found["libraries"] = _libraries(built)
    GOLDEN.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize("name", [*OF_CRAWLS, *OF_ALL])
def test_output_changes_with_its_version_only(built: Corpus, name: str) -> None:
    written = json.loads(GOLDEN.read_text())
    found, golden = _golden(_stages(built)[name]), written[name]
    if _libraries(built) != written["libraries"]:
        pytest.skip(f"the digests were written with other libraries: {written['libraries']}")
    if found["contents"] == golden["contents"] and found["version"] == golden["version"]:
        return
    if found["version"] == golden["version"]:
        told = (
            f"the output of {name} changed and its version did not: workspaces would mix old parts with new ones. "
            f"Raise VERSIONS[{name!r}] in pipelines/lineage.py (where the change is of an earlier stage, raise that "
            "one's), then write the digests again"
        )
    else:
        told = f"{name} has version {found['version']}, its digest is of {golden['version']}; write the digests again"
    pytest.fail(f"{told}: SIRDAR_WRITE_GOLDEN=1 python -m pytest tests/test_golden.py", pytrace=False)
