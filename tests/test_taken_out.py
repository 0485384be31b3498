"""What must not be in a dataset: documents that were taken down, and tests."""

import json
from pathlib import Path

import made_corpus
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from assets import claims
from mixer import lineage as mixing
from mixer.command import app
from mixer.inspection import trace
from mixer.stages import run_dataset
from pipelines import lineage
from pipelines.columns import parts_of
from pipelines.corpus import Corpus
from pipelines.errors import ContaminationError, InputError
from pipelines.store import Stage


def rows(corpus: Corpus, stage: Stage | None = None) -> list[dict[str, str]]:
    stage = stage or mixing.dataset(corpus)
    folder = corpus.workspace.local(*stage.steps)
    return [row for path in sorted(folder.rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def takedown(corpus: Corpus, *arguments: str) -> str:
    done = CliRunner().invoke(app, ["takedown", *arguments, "-w", corpus.workspace.root])
    assert done.exit_code == 0, done.output
    return done.output


def test_one_command_reaches_the_next_version_and_no_search_runs_again(copied: Corpus) -> None:
    before, search = mixing.dataset(copied), mixing.search(copied)
    first = rows(copied, before)
    page = first[0]
    scheme, _, rest = page["url"].partition("://")
    name, _, path = rest.partition("/")
    written = f"{scheme.upper()}://{name.upper()}/{path}#top"
    assert "1 new of 1; 1 in all" in takedown(copied, "add", "--url", written, "--reason", "its author asked")
    assert page["url"].rsplit("/", 1)[1].lower() in takedown(copied, "list").lower()
    after = mixing.dataset(copied)
    assert after.label != before.label
    assert mixing.search(copied).label == search.label
    run_dataset(copied)
    left = rows(copied)
    assert {row["id"] for row in first} - {row["id"] for row in left} >= {page["id"]}
    assert page["id"] not in {row["id"] for row in left}
    assert rows(copied, before) == first  # what was published stays as it was
    assert ("dataset", "taken down: in no version after the wish (`sirdar takedown list`)") in trace(copied, page["id"])
    card = copied.workspace.local(*after.steps, "README.md").read_text()
    manifest = json.loads(copied.workspace.local(*after.steps, "manifest.json").read_text())
    assert manifest["takedown"]["entries"] == 1
    assert f"after a list of 1 entries with digest `{manifest['takedown']['digest']}`" in card
    pools = manifest["funnel"][-1]
    assert pools["dropped"]["taken_down"] == manifest["takedown"]["documents"] >= 1
    assert pools["read"] == pools["kept"] + sum(pools["dropped"].values())


def test_the_document_that_is_kept_in_its_stead_goes_too(copied: Corpus) -> None:
    pooled = {row["id"] for row in rows(copied)}
    copies = [
        (row["id"].hex(), row["duplicate_of"].hex())
        for crawl in ("crawl-1", "crawl-2")
        for part in parts_of(copied, crawl)
        for row in lineage.duplicates(copied, crawl).read(part).to_pylist()
        if row["duplicate_of"] and row["duplicate_of"].hex() in pooled
    ]
    copy, keeper = copies[0]
    takedown(copied, "add", "--id", copy, "--reason", "its author asked")
    run_dataset(copied)
    assert keeper not in {row["id"] for row in rows(copied)}


def test_nothing_left_is_an_error_and_no_version(copied: Corpus) -> None:
    names = {row["url"].partition("://")[2].partition("/")[0] for row in rows(copied)}
    takedown(copied, "add", "--reason", "all of it", *(word for name in names for word in ("--domain", name)))
    for _ in range(2):
        with pytest.raises(InputError, match="no document is left"):
            run_dataset(copied)


def test_no_place_of_this_machine_is_published(built: Corpus) -> None:
    folder = built.workspace.local(*mixing.dataset(built).steps)
    for name in ("README.md", "manifest.json"):
        text = (folder / name).read_text()
        for place in (built.settings.embeddings.model, str(Path(built.settings.targets[0].path).parent)):
            assert place not in text


def test_a_wish_that_could_match_nothing_is_told_and_nothing_is_kept(copied: Corpus, tmp_path: Path) -> None:
    wishes = tmp_path / "wishes.txt"
    wishes.write_text("domain shop.example\nidd 77\n")
    for arguments in ([], ["--id", "77"], ["--file", str(wishes)]):
        asked = ["takedown", "add", "--reason", "none", *arguments, "-w", copied.workspace.root]
        assert CliRunner().invoke(app, asked).exit_code == 1
    assert takedown(copied, "list").strip() == ""


def test_a_test_in_the_shards_stops_the_dataset_and_blocks_in_dagster(copied: Corpus, tmp_path: Path) -> None:
    """A test that is named after the verdicts: its documents are in the pools, so the shards would hold it."""
    leaked = rows(copied)[0]["text"]
    quiz = tmp_path / "quiz.jsonl"
    quiz.write_text(json.dumps({"id": "q7", "text": leaked}) + "\n")
    stage = mixing.dataset(copied)
    named = copied.settings.decontamination.model_validate({"sets": [{"name": "quiz", "path": str(quiz)}]})
    late = Corpus(copied.workspace, copied.settings.model_copy(update={"decontamination": named}))
    from mixer.export import leaks

    paths = [str(path.relative_to(copied.workspace.local(*stage.steps))) for path in _shards(copied, stage)]
    with pytest.raises(ContaminationError, match=r"quiz.*item q7 of quiz"):
        leaks.must_hold_no_test(late, stage, paths)
    found = leaks.check(late, stage, paths)
    assert found.by_task == {"quiz": found.contaminated}
    assert claims.no_test_in_dataset(copied).holds  # no set is named there: nothing is looked for


def _shards(corpus: Corpus, stage: Stage) -> list[Path]:
    return sorted(corpus.workspace.local(*stage.steps).rglob("*.parquet"))


def test_the_job_with_a_test_drops_its_documents_and_says_so(copied: Corpus, tmp_path: Path) -> None:
    leaked = rows(copied)[0]
    quiz = tmp_path / "quiz.jsonl"
    quiz.write_text(json.dumps({"id": "q7", "text": leaked["text"]}) + "\n")
    corpus = made_corpus.changed(copied, f'decontamination.sets=[{{name="quiz", path="{quiz}"}}]')
    made_corpus.run_corpus(corpus, until="verdicts")
    reasons = {
        row["id"].hex(): row["reason"]
        for crawl in ("crawl-1", "crawl-2")
        for part in parts_of(corpus, crawl)
        for row in lineage.verdicts(corpus, crawl).read(part).to_pylist()
    }
    assert reasons[leaked["id"]] == "contaminated"
