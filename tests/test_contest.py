"""Strategies beside each other share trials and a budget; searches are listed, and go on where they stopped."""

import json
import math
import re
import shutil
from pathlib import Path

import made_corpus
import pytest
from made_searches import Killed, Planted, copied, folder_of, in_memory, searched
from typer.testing import CliRunner

from mixer import contest, entrants, inspection, journal, resuming, stages
from mixer import lineage as mixing
from mixer.command import mix, planning  # noqa: F401  planning adds to mix
from mixer.comparison import judged
from mixer.report.gathered import gathered
from mixer.report.page import html
from pipelines.errors import SettingsError, StoreError

STRATEGIES = "climb,regmix,random"


def of_strategy(corpus, name: str) -> Path:
    return folder_of(entrants.entered(corpus, name), mixing.search)


@pytest.fixture(scope="module")
def contested(built, tmp_path_factory):
    """(corpus, what the command told, the trainer): strategies compared with a planted trainer."""
    with pytest.MonkeyPatch.context() as patch:
        corpus = copied(built, tmp_path_factory.mktemp("contested"))
        trainer = Planted()
        patch.setattr(contest, "trainer_of", lambda corpus, split: trainer)
        run = CliRunner().invoke(
            mix.app, ["compare", "-w", corpus.workspace.root, "--strategies", STRATEGIES, "--seeds", "2", "--json"]
        )
        assert run.exit_code == 0, run.output
    return corpus, json.loads(run.stdout), trainer


def test_a_trial_of_several_strategies_is_trained_once(contested) -> None:
    corpus, told, trainer = contested
    assert len(set(trainer.trained)) == len(trainer.trained)
    of_regmix, of_random = (
        {entry.result.key for entry in journal.read(of_strategy(corpus, name) / "journal.jsonl")}
        for name in ("regmix", "random")
    )
    assert of_regmix == of_random
    for name in STRATEGIES.split(","):
        assert told["cost"][name]["num_runs"] == sum(corpus.settings.search.rounds)
    assert told["num_trained"] < 3 * sum(corpus.settings.search.rounds)


def test_strategies_and_rules_are_trained_on_paired_seeds(contested) -> None:
    _, told, _ = contested
    assert set(told["mixtures"]) == {*STRATEGIES.split(","), *contest.RULES}
    assert {len(one["losses"]) for one in told["mixtures"].values()} == {2}
    means = {name: told["mixtures"][name]["mean"] for name in contest.RULES}
    assert told["best_rule"] == min(means, key=lambda name: means[name])
    for one in told["verdicts"]:
        assert one["other"] == told["best_rule"]
        difference = means[told["best_rule"]] - told["mixtures"][one["name"]]["mean"]
        assert one["difference"] == pytest.approx(difference)


def test_compared_again_nothing_is_trained(contested, monkeypatch) -> None:
    corpus, told, _ = contested
    idle = Planted()
    monkeypatch.setattr(contest, "trainer_of", lambda corpus, split: idle)
    again = contest.contest(corpus, STRATEGIES.split(","), 2)
    assert idle.trained == []
    assert again["mixtures"] == told["mixtures"]


def test_a_killed_comparison_ends_as_an_unbroken_one(contested, built, tmp_path: Path, monkeypatch) -> None:
    corpus = copied(built, tmp_path)
    for after in (5, 4, -1):
        trainer = Planted(kill_after=after)
        monkeypatch.setattr(contest, "trainer_of", lambda corpus, split, trainer=trainer: trainer)
        if after < 0:
            told = contest.contest(corpus, STRATEGIES.split(","), 2)
        else:
            with pytest.raises(Killed):
                contest.contest(corpus, STRATEGIES.split(","), 2)
    assert told["mixtures"] == contested[1]["mixtures"]


def test_trials_of_the_workspace_are_taken_over_and_a_damaged_journal_costs_its_own(
    contested, tmp_path: Path, monkeypatch
) -> None:
    """A search under another name has trained what two of the strategies ask for; another one's journal is garbage."""
    corpus = copied(contested[0], tmp_path)
    trained = Planted()
    searched(made_corpus.changed(corpus, "search.strategy=regmix", "search.name=other"), trained, monkeypatch)
    broken = corpus.workspace.local("search", "broken", "0123456789ab", "journal.jsonl")
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"garbage\n")
    trainer = Planted()
    monkeypatch.setattr(contest, "trainer_of", lambda corpus, split: trainer)
    told = contest.contest(corpus, ["regmix", "random"], 2)
    assert told["num_trained"] == 0
    assert not set(trainer.trained) & set(trained.trained)
    assert told["mixtures"]["regmix"] == contested[1]["mixtures"]["regmix"]


def test_final_runs_are_taken_over_from_each_other(contested, tmp_path: Path, monkeypatch) -> None:
    """The rules' from another comparison of strategies, and all of a search's own comparison from both."""
    corpus = copied(contested[0], tmp_path, keep=("search", "strategies"))
    [digest] = corpus.workspace.names("strategies")
    finals = {entry.result.key for entry in journal.read(corpus.workspace.local("strategies", digest, "journal.jsonl"))}
    trainer = Planted()
    monkeypatch.setattr(contest, "trainer_of", lambda corpus, split: trainer)
    told = contest.contest(corpus, ["regmix", "bayes"], 2)
    assert len(corpus.workspace.names("strategies")) == 2
    assert not finals & set(trainer.trained)
    again = {name: told["mixtures"][name] for name in ("regmix", *contest.RULES)}
    assert again == {name: contested[1]["mixtures"][name] for name in again}
    alone = made_corpus.changed(corpus, "search.strategy=regmix", "search.name=regmix", "search.final_seeds=2")
    compared = made_corpus.changed(alone, "search.final_mixtures=['natural', 'entropy', 'domain2vec']")
    searched(compared, trainer, monkeypatch, until="mixture")
    searched(compared, Planted(0), monkeypatch, until="comparison")
    assert stages.read_comparison(compared)["mixtures"]["natural"] == again["natural"]


def test_on_an_object_store_too(contested, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain = copied(contested[0], tmp_path)
    trained = Planted()
    searched(made_corpus.changed(plain, "search.strategy=regmix", "search.name=other"), trained, monkeypatch)
    with in_memory(plain, "contest") as remote:
        trainer = Planted()
        monkeypatch.setattr(contest, "trainer_of", lambda corpus, split: trainer)
        told = contest.contest(remote, ["regmix", "climb"], 2)
        alone = contested[1]["cost"]["climb"]["num_runs"]
        assert 0 < told["num_trained"] < alone  # climb shares its first round with regmix
        assert not set(trainer.trained) & set(trained.trained)
        assert told["mixtures"]["climb"] == contested[1]["mixtures"]["climb"]


def test_clean_keeps_a_comparison_and_its_searches_as_long_as_its_settings_stand(contested, tmp_path: Path) -> None:
    corpus = copied(contested[0], tmp_path, keep=("search", "strategies"))
    searches = {mixing.search(entrants.entered(corpus, name)).label for name in STRATEGIES.split(",")}
    [digest] = corpus.workspace.names("strategies")
    assert not [label for label, _ in inspection.unneeded(corpus) if label.startswith(("search/", "strategies/"))]
    corpus.workspace.delete("strategies", digest, contest.RESULT)  # as of one that was stopped
    assert not [label for label, _ in inspection.unneeded(corpus) if label.startswith(("search/", "strategies/"))]
    other = made_corpus.changed(corpus, "search.seed=7")
    assert {label for label, _ in inspection.unneeded(other)} >= {*searches, f"strategies/{digest}"}


def test_the_page_shows_the_strategies(contested) -> None:
    corpus, told, _ = contested
    page = html(gathered(corpus))
    assert "<h2>Strategies</h2>" in page
    for name in STRATEGIES.split(","):
        assert f"{told['mixtures'][name]['mean']:.4f}" in page


@pytest.mark.parametrize(("names", "said"), [([], "at least one"), (["climb", "climb"], "once"), (["clim"], "climb")])
def test_what_cannot_be_compared_is_said(built, names: list[str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        contest.contest(built, names, 2)


def test_no_difference_is_said_where_none_is_shown() -> None:
    found = judged({"a": (5.0, 5.3), "b": (5.1, 5.2), "rule": (5.05, 5.25)}, seeds=(1, 2), tokens=10)
    again = contest.against(found, "rule", ["a", "b"])
    assert [one.outcome for one in again.verdicts] == ["no difference shown"] * 2
    assert all(math.isfinite(bound) for one in again.verdicts for bound in one.interval)
    assert again.losses == found.losses


# ---------------------------------------------------------------------------------------------------------


def test_a_search_under_other_settings_goes_on_by_its_name(built, tmp_path: Path, monkeypatch) -> None:
    corpus = copied(built, tmp_path)
    monkeypatch.setattr(contest, "trainer_of", lambda corpus, split: Planted(kill_after=3))
    with pytest.raises(Killed):
        contest.contest(corpus, ["regmix"], 2)
    (found,) = resuming.searches(corpus)
    assert (found.name, found.done, found.asked, found.finished) == ("regmix", 3, 6, False)
    again = resuming.continued(corpus, found)
    assert mixing.search(again).label == f"search/regmix/{found.digest}"
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: Planted())
    run = CliRunner().invoke(mix.app, ["resume", "-w", corpus.workspace.root])
    assert run.exit_code == 0, run.output
    assert "3 of 6 trials" in run.stdout
    assert re.search(r"last trial \d{4}-\d\d-\d\d \d\d:\d\d\n", run.stdout)  # on one line
    assert "Leaderboard" in run.stdout
    (ended,) = resuming.searches(corpus)
    assert (ended.done, ended.finished, ended.state) == (6, True, "finished")
    with pytest.raises(StoreError, match="every search is finished"):
        resuming.chosen([ended], "")


def test_a_search_of_other_pools_is_refused(built, tmp_path: Path, monkeypatch) -> None:
    corpus = copied(built, tmp_path)
    monkeypatch.setattr(contest, "trainer_of", lambda corpus, split: Planted(kill_after=2))
    with pytest.raises(Killed):
        contest.contest(corpus, ["regmix"], 2)
    folder = of_strategy(corpus, "regmix")
    folder.rename(folder.with_name("0123456789ab"))
    (found,) = resuming.searches(corpus)
    with pytest.raises(StoreError, match="was of other clusters, targets or settings"):
        resuming.continued(corpus, found)


@pytest.mark.parametrize(
    ("name", "said"), [("", "2 searches are unfinished: a, b; name one"), ("c", "no search c; there are: a, b")]
)
def test_which_search_is_meant_must_be_clear(name: str, said: str) -> None:
    found = [resuming.Found(one, "d", 1, 6, 0.0, False) for one in ("a", "b")]
    with pytest.raises(StoreError, match=said):
        resuming.chosen(found, name)
    assert resuming.chosen(found, "b").name == "b"


def test_a_damaged_search_keeps_nobody_from_another(built, tmp_path: Path, monkeypatch) -> None:
    corpus = copied(built, tmp_path)
    monkeypatch.setattr(contest, "trainer_of", lambda corpus, split: Planted(kill_after=2))
    with pytest.raises(Killed):
        contest.contest(corpus, ["regmix"], 2)
    whole = of_strategy(corpus, "regmix")
    for name, damaged in (("torn", "candidates/round-1.parquet"), ("mixed-up", "journal.jsonl")):
        shutil.copytree(whole, whole.parents[1] / name / whole.name)
        (whole.parents[1] / name / whole.name / damaged).write_bytes(b"nothing of it\n")
    found = resuming.searches(corpus)
    assert {one.name: one.state for one in found} == {
        "regmix": "2 of 6 trials",
        "torn": "damaged",
        "mixed-up": "damaged",
    }
    assert resuming.chosen(found, "").name == "regmix"
    with pytest.raises(StoreError, match=r"torn.*round-1\.parquet cannot be read"):
        resuming.chosen(found, "torn")
    with pytest.raises(StoreError, match=r"mixed-up.*journal\.jsonl, line 1 of 1 cannot be read"):
        resuming.chosen(found, "mixed-up")
