"""The mixer's stages on a small built corpus: what is wrong is said before hours are spent."""

from dataclasses import replace
from io import StringIO
from pathlib import Path

import made_corpus
import pytest
from made_searches import Planted, copied, folder_of, searched
from rich.console import Console
from typer.testing import CliRunner

from mixer import journal, objectives, result, searches, stages
from mixer import lineage as mixing
from mixer.command import mix
from mixer.runs import loss_on, measured
from mixer.tables import read_tables
from pipelines import lineage
from pipelines.errors import SettingsError, StoreError, TrialError


def test_counts_are_of_the_round_and_what_was_there_is_reused(unbroken, tmp_path, monkeypatch):
    corpus = copied(unbroken, tmp_path, keep=("search",))
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: Planted(0))  # killed if it is asked for anything
    second = stages.run_round(corpus, 2)
    assert (second.parts, second.reused, second.counts["trials"]) == (2, 2, 2)
    entries = journal.read(folder_of(corpus, mixing.search) / "journal.jsonl")
    losses = [measured(entry.result, loss_on("search/stars")) for entry in entries if entry.trial.round == 2]
    assert second.counts["best_loss"] == min(losses)
    assert second.content == stages.run_round(corpus, 2).content != stages.run_round(corpus, 1).content
    mixture = stages.run_mixture(corpus)
    assert mixture.content == mixing.mixture(unbroken).finished()["content"]


def test_failed_trials_are_journalled_and_counted(built, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(built, tmp_path), "search.max_failed=0.3")
    failing = Planted(fails=lambda trial: trial.round == 1 and trial.index == 2)
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: failing)
    report = stages.run_round(corpus, 1)
    assert (report.counts["trials"], report.counts["failed"]) == (4, 1)
    assert stages.run_predictor(corpus, 1).counts["runs"] == 3
    assert stages.run_round(corpus, 2).counts["failed"] == 0
    assert len(failing.trained) == 6  # the failed one stays failed


def test_too_many_failures_stop_a_round_and_running_again_trains_them_again(built, unbroken, tmp_path, monkeypatch):
    corpus = copied(built, tmp_path)
    with pytest.raises(TrialError, match=r"out of memory.*running again"):
        searched(corpus, Planted(fails=lambda trial: trial.index == 2), monkeypatch)
    searched(corpus, Planted(), monkeypatch)
    assert stages.read_mixture(corpus) == stages.read_mixture(unbroken)


def test_the_mixture_without_a_search_trains_nothing(built, tmp_path, monkeypatch):
    corpus = copied(built, tmp_path)
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: Planted(0))
    with pytest.raises(StoreError, match="sirdar mix search"):
        stages.run_mixture(corpus)
    with pytest.raises(StoreError, match="sirdar mix mixture"):
        mixing.comparison(corpus)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("search.final_mixtures=['natural', 'nearst']", "nearst to compare with; name some of domain2vec, entropy"),
        ("search.final_mixtures=[]", "nothing to compare with"),
    ],
)
def test_an_unknown_mixture_ends_the_comparison_before_it_trains(change, told, unbroken, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(unbroken, tmp_path, keep=("search", "mixture")), change)
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: Planted(0))
    with pytest.raises(SettingsError, match=told):
        stages.run_comparison(corpus)


def test_a_dataset_larger_than_the_crawls_is_refused_before_training(built, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(built, tmp_path), "dataset.tokens=300000")
    with pytest.raises(SettingsError, match=r"dataset\.tokens = 300,000.*51,877.*lower dataset\.tokens"):
        searched(corpus, Planted(0), monkeypatch)


def test_a_target_outside_all_clusters_is_refused_before_training(built, tmp_path, monkeypatch):
    corpus = copied(built, tmp_path)
    monkeypatch.setattr(objectives, "read_evaluations", lambda corpus: (None, {"stars": [0, 0, 0, 0]}))
    with pytest.raises(SettingsError, match="target 'stars'"):
        searched(corpus, Planted(0), monkeypatch)


def test_settings_of_the_end_alone_do_not_start_another_search(built):
    label = mixing.search(built).label

    def with_search(**changes):
        settings = built.settings.model_copy(update={"search": built.settings.search.model_copy(update=changes)})
        return mixing.search(replace(built, settings=settings)).label

    assert with_search(final_seeds=9, final_tokens=7, final_mixtures=("natural",), max_failed=0.9) == label
    assert with_search(max_program_minutes=30) == label
    assert with_search(objective="stars") == label  # the first target is the objective by itself
    assert with_search(objective="mixed") != label
    assert with_search(tokens=9) != label


def test_the_proxy_is_part_of_the_comparison(built):
    proxy = built.settings.proxy.model_copy(update={"learning_rate": 1e-3})
    changed = replace(built, settings=built.settings.model_copy(update={"proxy": proxy}))
    with pytest.raises(StoreError):
        mixing.comparison(changed)  # it has no mixture yet, so no address either
    content = mixing.mixture(built).finished()["content"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixing, "mixture", lambda corpus: _Finished(content))
        assert mixing.comparison(changed).label != mixing.comparison(built).label


class _Finished:
    def __init__(self, content: str) -> None:
        self.content = content
        self.recipe = lineage.Recipe("mixture", 1)

    def finished(self):
        return {"content": self.content}

    manifest = finished


def test_with_one_seed_the_result_can_still_be_told(unbroken, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(unbroken, tmp_path, keep=("search", "mixture")), "search.final_seeds=1")
    searched(corpus, Planted(), monkeypatch, until="dataset")
    screen = StringIO()
    result.say(corpus, Console(file=screen, width=200))
    assert "no difference shown, since 1 paired runs do not show their noise" in screen.getvalue()


# ---------------------------------------------------------------------------------------------------------
# Strategies by name


def test_a_search_of_another_strategy_has_another_folder_and_the_first_ones_stay(unbroken):
    first = mixing.search(unbroken).recipe
    assert first.settings["search"]["strategy"] == "auto"
    digests = {first.digest}
    climb = {"strategy": "climb"}
    for change in ({"strategy": "bayes"}, {"strategy": "olmix"}, climb, {**climb, "predictor": "loglinear"}):
        settings = unbroken.settings.model_copy(update={"search": unbroken.settings.search.model_copy(update=change)})
        digests.add(mixing.search(replace(unbroken, settings=settings)).recipe.digest)
        if change == climb:  # what every search was before one could choose
            recipe = mixing.search(replace(unbroken, settings=settings)).recipe
            assert not {"strategy", "predictor"} & recipe.settings["search"].keys()
    assert len(digests) == 5


def test_strategies_see_the_search_half_of_the_target_alone(unbroken):
    made = searches.search_of(unbroken, folder_of(unbroken, mixing.search))
    assert made.tasks == (f"search/{next(iter(mixing.asked(unbroken.settings)))}",)


def test_a_searchs_runs_are_exported_and_fitted_again(unbroken, tmp_path, monkeypatch):
    monkeypatch.setattr("mixer.table_fit.CANDIDATES", 500)
    root = unbroken.workspace.root
    ran = CliRunner().invoke(mix.app, ["export-tables", "-w", root, "--out", str(tmp_path / "out")])
    assert ran.exit_code == 0, ran.output
    paths = [str(tmp_path / "out" / name) for name in ("ratios.csv", "metrics.csv")]
    runs = read_tables(*map(Path, paths))
    trials = journal.read(folder_of(unbroken, mixing.search) / "journal.jsonl")
    assert sorted(runs.keys) == sorted(entry.result.key for entry in trials)
    assert len(runs.buckets) == len(trials[0].trial.schedule.weights)
    ran = CliRunner().invoke(mix.app, ["fit", *paths, "--objective", "objective", "--json"])
    assert ran.exit_code == 0, ran.output


def test_a_search_without_its_rounds_is_not_exported(built, tmp_path):
    corpus = copied(built, tmp_path)
    with pytest.raises(StoreError, match="round 1 has not been proposed"):
        stages.search_table(corpus)
