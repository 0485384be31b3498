"""The whole job on the planned crawls: from crawl files to a dataset, looked at from all sides, run again, cleaned."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import made_corpus
import pyarrow.parquet as pq
import pytest

from mixer import inspection, job
from mixer import lineage as mixing
from mixer import stages as mixer_stages
from mixer.export.verify import verify
from mixer.stages import read_comparison, read_mixture
from pipelines import lineage
from pipelines.configuration import changed
from pipelines.corpus import Corpus, Report, Silent
from pipelines.crawls import register
from pipelines.errors import InputError, SettingsError

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def dataset(built: Corpus) -> Path:
    return built.workspace.local(*mixing.dataset(built).steps)


def _every_file(root: Path) -> dict[str, str]:
    paths = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
        if path.name not in ("runs.jsonl", ".lease", "journal.jsonl.lock")
    }


# ---------------------------------------------------------------------------------------------------------
# What comes out


def test_the_dataset_is_as_its_manifest_says(dataset: Path) -> None:
    assert verify(dataset) == []
    assert (dataset / "README.md").is_file()
    assert not (dataset / "_making").exists()


def test_the_dataset_holds_kept_documents_alone_and_no_text_of_a_target(built: Corpus, dataset: Path) -> None:
    kept = set()
    for crawl in built.crawls:
        verdicts, duplicates = lineage.verdicts(built, crawl.name), lineage.duplicates(built, crawl.name)
        for part in verdicts.sidecars():
            rows = zip(verdicts.read(part).to_pylist(), duplicates.read(part).to_pylist(), strict=True)
            kept |= {one["id"].hex() for one, other in rows if not one["reason"] and not other["duplicate_of"]}
    held = {made_corpus.text("astronomy", n) for n in range(70, 86)}
    train, validation = (set[str](), set[str]())
    for split, ids in (("train", train), ("validation", validation)):
        for row in _rows(dataset, split):
            ids.add(row["id"])
            assert row["text"] not in held
            assert row["token_count"] > 0
    assert train | validation <= kept
    assert not train & validation
    assert len(train | validation) > 0.3 * len(kept)


def _rows(dataset: Path, split: str) -> Iterator[dict[str, Any]]:
    manifest = json.loads((dataset / "manifest.json").read_text())
    for name in manifest["splits"][split]["files"]:
        yield from pq.read_table(dataset / name).to_pylist()


def test_the_mixture_and_its_evidence_are_published(built: Corpus) -> None:
    found, judged = read_mixture(built), read_comparison(built)
    assert sum(found["weights"]) == pytest.approx(1)
    assert set(found["others"]) == {"natural", "uniform", "nearest", "entropy", "domain2vec", "random"}
    assert set(judged["mixtures"]) == {"search", *found["others"]} - {"domain2vec"}
    assert len(judged["seeds"]) == 2
    assert found["objective"] == judged["target"] == "stars"
    # the nearest rule sees where the target's own documents lie: in one cluster, with the crawl's astronomy
    assert max(found["others"]["nearest"]) > 0.6


def test_steps_run_in_an_order_in_which_each_finds_its_inputs(built: Corpus) -> None:
    steps = [(step.name, *arguments) for step, arguments in job.planned(built)]
    assert len(steps) == len(set(steps))
    assert steps.index(("duplicates", "crawl-1")) < steps.index(("duplicates", "crawl-2"))
    assert steps.index(("round", 1)) < steps.index(("predictor", 1)) < steps.index(("round", 2))
    assert [name for name, *_ in steps[-3:]] == ["mixture", "comparison", "dataset"]
    assert {name for name, *_ in steps} == {step.name for step in job.STEPS} - made_corpus.UNASKED


# ---------------------------------------------------------------------------------------------------------
# Running again


class _Recorder(Silent):
    def __init__(self) -> None:
        self.reports: list[Report] = []

    def end(self, report: Report) -> None:
        self.reports.append(report)


def test_running_again_does_nothing(copied: Corpus) -> None:
    before = _every_file(Path(copied.workspace.root))
    recorder = _Recorder()
    job.build(replace(copied, progress=recorder))
    assert _every_file(Path(copied.workspace.root)) == before
    done = [one for one in recorder.reports if one.reused < one.parts and not one.stage.startswith("predictor")]
    assert [one.stage for one in done] == []


@pytest.mark.slow
def test_the_whole_command_killed_again_and_again_ends_in_the_same_dataset(
    built: Corpus, dataset: Path, crawl_files: Path, encoder: Path, tmp_path: Path
) -> None:
    corpus = made_corpus.make(tmp_path / "ws", crawl_files, encoder, names=("crawl-1", "crawl-2"), workers=2)
    command = [sys.executable, "-m", "mixer.command", "build", "-w", corpus.workspace.root]
    chance, kills = random.Random(3), 0
    for _ in range(40):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=ROOT) as running:
            try:
                _, told = running.communicate(timeout=chance.uniform(3, 9))
            except subprocess.TimeoutExpired:
                os.kill(running.pid, signal.SIGKILL)
                kills += 1
                continue
        assert running.returncode == 0, told.decode()
        break
    assert kills >= 3
    assert running.returncode == 0
    stage = mixing.dataset(corpus)
    assert _every_file(corpus.workspace.local(*stage.steps)) == _every_file(dataset)
    assert read_comparison(corpus) == read_comparison(built)


def test_a_search_that_lost_its_last_trials_ends_the_same(copied: Corpus, built: Corpus) -> None:
    stage = mixing.search(copied)
    journal = copied.workspace.local(*stage.steps, "journal.jsonl")
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:5]) + lines[5][:40])  # killed while it wrote the sixth
    for one in (mixing.dataset(copied), mixing.comparison(copied), mixing.mixture(copied)):
        copied.workspace.delete(*one.steps)
    for name in ("random.parquet", "rules.parquet", "round-2.parquet"):
        copied.workspace.delete(*stage.steps, "candidates", name)
    job.build(copied)
    again = journal.read_bytes().splitlines(keepends=True)
    assert again[:5] == lines[:5]
    assert _results(again) == _results(lines)
    for name in ("mixture", "comparison", "dataset"):
        mine, other = (getattr(mixing, name)(one) for one in (copied, built))
        assert mine.label == other.label
        names = [name for name in mine.workspace.names(*mine.steps) if name not in (".lease", "journal.jsonl.lock")]
        if name != "comparison":  # its journal has times, its trials finish in any order
            assert _every_file(mine.workspace.local(*mine.steps)) == _every_file(other.workspace.local(*other.steps))
        assert names


def _results(lines: list[bytes]) -> dict[str, Any]:
    found = [json.loads(line)["result"] for line in lines]
    return {one["key"]: {**one, "seconds": 0} for one in found}


def test_a_killed_export_goes_on_and_leaves_the_same_bytes(copied: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    from mixer.export import shuffle

    stage = mixing.dataset(copied)
    folder = copied.workspace.local(*stage.steps)
    whole = _every_file(folder)
    shutil.rmtree(folder)
    write, written = shuffle.write_shard, []

    def killed(put: Any, name: str, *rest: Any) -> Any:
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(name)
        return write(put, name, *rest)

    # one shard a pass, so that a kill lies between two
    slow = replace(copied, settings=_with(copied, "engine", memory_bytes=1))
    monkeypatch.setattr(shuffle, "write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        mixer_stages.run_dataset(slow)
    monkeypatch.setattr(shuffle, "write_shard", lambda *given: written.append(given[1]) or write(*given))
    mixer_stages.run_dataset(slow)
    assert len(written) == len(set(written))  # none was written twice
    assert _every_file(folder) == whole


def _with(corpus: Corpus, section: str, **values: Any) -> Any:
    changed = getattr(corpus.settings, section).model_copy(update=values)
    return corpus.settings.model_copy(update={section: changed})


def test_a_kill_before_the_last_clean_up_leaves_no_scraps(copied: Corpus) -> None:
    stage = mixing.dataset(copied)
    copied.workspace.write_json([], *stage.steps, "_making", "0.json")
    mixer_stages.run_dataset(copied)
    assert verify(copied.workspace.local(*stage.steps)) == []


# ---------------------------------------------------------------------------------------------------------
# Cleaning


def test_nothing_of_a_finished_job_is_unneeded(built: Corpus) -> None:
    assert inspection.unneeded(built) == []


def test_clean_finds_what_neither_settings_nor_a_dataset_need(copied: Corpus) -> None:
    other = made_corpus.changed(copied, "quality.limits.gopher_short_doc=110")
    made_corpus.run_corpus(other, until="verdicts")
    assert inspection.unneeded(other) == []  # the old folders are the dataset's
    back = made_corpus.changed(other, "quality.limits.gopher_short_doc=25")
    found = dict(inspection.unneeded(back))
    assert set(found) == {lineage.verdicts(other, crawl.name).label for crawl in other.crawls}
    assert all(size > 0 for size in found.values())
    for label in found:
        back.workspace.delete(*label.split("/"))
    assert job.build(back)
    assert inspection.unneeded(back) == []


def test_where_an_address_is_unknown_nothing_of_that_stage_is_unneeded(copied: Corpus) -> None:
    """The settings are those under which all was made; one manifest in the middle is missing."""
    shutil.rmtree(copied.workspace.local("dataset"))  # nothing is needed for its sake
    assert inspection.unneeded(copied) == []
    journals = list(Path(copied.workspace.root).rglob("journal.jsonl"))
    copied.workspace.delete(*lineage.signatures(copied, "crawl-1").steps, "manifest.json")
    assert inspection.unneeded(Corpus(copied.workspace, copied.settings)) == []  # one that has read none of them
    assert [path for path in journals if path.exists()] == journals != []


def test_a_target_file_that_is_away_is_told_before_anything_is_called_unneeded(copied: Corpus, tmp_path: Path) -> None:
    shutil.rmtree(copied.workspace.local("dataset"))
    away = [target.model_copy(update={"path": str(tmp_path / "away.jsonl")}) for target in copied.settings.targets]
    settings = copied.settings.model_copy(update={"targets": tuple(away)})
    with pytest.raises(SettingsError, match=r"targets.stars: no file .*away.jsonl"):
        inspection.unneeded(Corpus(copied.workspace, settings))


@pytest.mark.parametrize(
    "change",
    [
        'language.model="{}"',
        'embeddings.model="{}"',
        'tokens.tokenizer="{}"',
        'tokens.tokenizer="./away/tokenizer.json"',
        'clusters.scores=["{}"]',
        'urls.domains=["{}"]',
        'scores=[{{name="stars", path="{}", label="stars"}}]',
        'decontamination.sets=[{{name="quiz", path="{}"}}]',
    ],
)
def test_whatever_settings_name_is_told_where_it_is_away(built: Corpus, change: str, tmp_path: Path) -> None:
    """What was made with it is not called unneeded, and the rest of the workspace is still shown."""
    settings = changed(built.settings, [change.format(tmp_path / "away")])
    corpus = Corpus(built.workspace, settings)
    with pytest.raises((SettingsError, InputError), match="away"):
        inspection.unneeded(corpus)
    assert "absent" in {line.state for line in inspection.status(corpus)}


def test_an_older_search_is_needed_by_its_dataset_alone(copied: Corpus) -> None:
    other = made_corpus.changed(copied, "search.seed=1")
    label = mixing.search(copied).label
    assert label not in dict(inspection.unneeded(other))
    other.workspace.delete(*mixing.dataset(copied).steps)
    assert label in dict(inspection.unneeded(other))


def test_a_job_without_a_target_says_what_to_name(crawl_files: Path, encoder: Path, tmp_path: Path) -> None:
    corpus = made_corpus.make(tmp_path / "ws", crawl_files, encoder)
    with pytest.raises(SettingsError, match="no target: the search needs held-out documents"):
        job.build(made_corpus.changed(corpus, "targets=[]"))
    assert corpus.workspace.names("documents") == []  # told at once, not after hours


def test_a_second_crawl_leaves_the_first_dataset_as_it_was(copied: Corpus, crawl_files: Path) -> None:
    stage = mixing.dataset(copied)
    before = _every_file(copied.workspace.local(*stage.steps))
    register(copied.workspace, "crawl-3", [str(crawl_files / "crawl-2" / "rows.jsonl")])
    grown = made_corpus.opened(copied.workspace)
    made_corpus.run_corpus(grown)
    assert _every_file(copied.workspace.local(*stage.steps)) == before
    assert inspection.unneeded(grown) == []
    assert verify(copied.workspace.local(*stage.steps)) == []
