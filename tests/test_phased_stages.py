"""The mixer's stages over a search of two phases, from the search to the report, on a small built corpus."""

import json
import re
from pathlib import Path

import made_corpus
import pytest
from made_searches import Planted, copied, folder_of, searched

from assets import evidence
from mixer import journal, stages
from mixer import lineage as mixing
from mixer.export import manifest as manifests
from mixer.export.verify import verify
from mixer.report.gathered import gathered
from mixer.report.page import html
from mixer.trial import Schedule
from pipelines.errors import SettingsError

CHANGES = ("search.phases=[0.75, 0.25]", "search.strategy=random", "search.rounds=[6]", "search.seed=3")
FINAL = ("search.final_mixtures=['natural','random']", "search.final_tokens=8000")


@pytest.fixture(scope="module")
def phased(built, tmp_path_factory):
    """A search of two phases that ends with a schedule of two, up to its comparison."""
    corpus = made_corpus.changed(copied(built, tmp_path_factory.mktemp("phased")), *CHANGES, *FINAL)
    with pytest.MonkeyPatch.context() as patch:
        searched(corpus, Late(), patch, until="comparison")
    return corpus


class Late(Planted):
    """Only what is read last counts, so that no static mixture is best."""

    def result(self, trial):
        from dataclasses import replace

        last = Schedule.static(trial.schedule.phases[-1].weights, trial.schedule.tokens)
        return replace(super().result(replace(trial, schedule=last)), key=trial.key)


def test_the_mixture_says_its_phases_and_the_comparison_trains_them(phased):
    found = stages.read_mixture(phased)
    schedule = Schedule.from_json(found["schedule"])
    assert len(schedule.phases) == 2
    assert found["weights"] == list(schedule.weights)
    assert len(found["weights"]) == len(found["clusters"])
    assert schedule.phases[0].tokens / schedule.tokens == pytest.approx(0.75, abs=1e-3)
    assert found["phased"]["random"] == found["schedule"]  # random search is what has searched
    compared = stages._compared(phased, found)
    assert compared["search"] == compared["random"] == schedule
    entries = journal.read(folder_of(phased, mixing.comparison) / "journal.jsonl")
    trained = {one.trial.name: one.trial.schedule.phases for one in entries}
    assert [phase.tokens for phase in trained["search"]] == [6000, 2000]
    assert [phase.weights for phase in trained["search"]] == [phase.weights for phase in schedule.phases]
    assert [phase.tokens for phase in trained["natural"]] == [8000]


def test_the_report_draws_a_bar_for_every_cluster_in_every_phase(phased):
    told = gathered(phased)
    assert [part["share"] for part in told["recommended"]["phases"]] == pytest.approx([0.75, 0.25], abs=1e-3)
    page = html(told)
    part = page[page.index("<h2>Phases of the mixture</h2>") :]
    part = part[: part.index("</section>")]
    assert part.count('class="track"') == 2 * len(told["clusters"])
    assert re.findall(r"phase (\d): ([\d.]+)", part) == [("1", "75.0"), ("2", "25.0")]
    json.dumps(told, allow_nan=False)


def test_dagster_sees_the_phases_beside_the_mixtures(phased):
    clusters, mixtures = evidence.mixtures(phased)
    assert list(mixtures)[:3] == ["search", "search, phase 1", "search, phase 2"]
    assert {len(row) for row in mixtures.values()} == {len(clusters)}


def test_runs_are_exported_with_a_column_for_each_cluster_and_phase(phased):
    runs = stages.search_table(phased)
    assert len(runs.buckets) == 2 * len(stages.read_mixture(phased)["clusters"])
    assert runs.weights.sum(axis=1) == pytest.approx(1)


@pytest.fixture(params=["parquet", "nanochat"])
def exported(request, phased, tmp_path):
    """The dataset of the schedule found, in shards of a few documents."""
    plain = copied(phased, tmp_path, keep=("search", "mixture", "comparison"))
    corpus = made_corpus.changed(plain, f"dataset.format={request.param!r}", "dataset.shard_bytes=20000")
    stages.run_dataset(corpus)
    return folder_of(corpus, mixing.dataset)


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_bytes())


def test_a_dataset_of_phases_is_written_in_their_order(exported, phased):
    assert verify(exported) == []
    manifest, found = manifest_of(exported), stages.read_mixture(phased)
    asked = Schedule.from_json(found["schedule"])
    first, second = manifest["phases"]
    assert [*first["files"], *second["files"]] == manifest["splits"]["train"]["files"]
    assert first["rows"] + second["rows"] == manifest["splits"]["train"]["rows"]
    assert first["share"] == pytest.approx(0.75, abs=0.02)
    for part, phase in zip((first, second), asked.phases, strict=True):
        assert part["weights_requested"] == list(phase.weights)
        assert part["weights"] == pytest.approx(phase.weights, abs=0.05)
    card = (exported / "README.md").read_text()
    assert f"`{first['files'][0]}`" in card
    assert "not to be shuffled over phases" in card


def test_a_phase_that_is_not_as_stated_is_named(exported):
    manifest = manifest_of(exported)
    first, second = manifest["phases"]
    wrong = {
        "or in another order": [second, first],
        "rows of phase 1": [first | {"rows": first["rows"] + 1}, second],
        "tokens of phase 2": [first, second | {"tokens": 0}],
        "in phase 2, not": [first, second | {"weights": [0.0] * len(second["weights"])}],
    }
    for said, phases in wrong.items():
        told = {name: value for name, value in manifest.items() if name != "digest"} | {"phases": phases}
        changed = told | {"digest": manifests.own_digest(told)}
        (exported / "manifest.json").write_bytes(manifests.written(changed))
        problems = verify(exported)
        assert any(said in problem.text for problem in problems), said
        assert not any("digest is another" in problem.text for problem in problems)


def test_a_folder_for_each_cluster_has_no_order_and_nothing_is_written(phased, tmp_path):
    corpus = made_corpus.changed(
        copied(phased, tmp_path, keep=("search", "mixture", "comparison")), "dataset.format=clusters"
    )
    with pytest.raises(SettingsError, match="take parquet or nanochat"):
        stages.run_dataset(corpus)
    assert not folder_of(corpus, mixing.dataset).exists()


def test_a_phase_shorter_than_a_step_is_refused_before_training(built, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(built, tmp_path), *CHANGES, "search.phases=[0.999, 0.001]")
    with pytest.raises(SettingsError, match=r"the shortest phase of search.tokens = 4,000 has 4 tokens, less than the"):
        searched(corpus, Planted(0), monkeypatch)


@pytest.mark.parametrize("name", ["tokens", "final_tokens"])
def test_a_budget_under_a_step_is_refused_before_training(name, built, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(built, tmp_path), f"search.{name}=100")
    with pytest.raises(SettingsError, match=rf"search\.{name} = 100: less than the 128 tokens of one step"):
        searched(corpus, Planted(0), monkeypatch)
    corpus = made_corpus.changed(corpus, "search.tokens=4000", "search.final_tokens=1280", "search.phases=[0.95, 0.05]")
    with pytest.raises(SettingsError, match=r"the shortest phase of search.final_tokens = 1,280 has 64 tokens"):
        searched(corpus, Planted(0), monkeypatch)
