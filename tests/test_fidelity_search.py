"""A search that buys cheap trials beside whole ones, in its folder and by its command."""

import json
from dataclasses import replace

import made_corpus
import numpy as np
import planted
import pyarrow.parquet as pq
import pytest
from made_searches import Planted, folder_of
from planted import Killed, PlantedTrainer, outputs

from assets import evidence as shown
from mixer import candidates, journal, plan, stages
from mixer import lineage as mixing
from mixer.candidates import SCHEMA, Candidates
from mixer.plan import works
from mixer.report import series
from mixer.report.gathered import gathered
from mixer.report.page import html
from mixer.resuming import searches
from mixer.strategy import Target
from mixer.tables import read_tables
from mixer.takeover import Reusing
from mixer.trial import Loss, Result
from pipelines.errors import SettingsError
from pipelines.search_settings import Proxy, Search

SETTINGS = Search(
    strategy="bayes-fidelity", fidelities=(0.1, 1.0), rounds=(6, 3, 2), tokens=1000, candidates=2000, max_failed=1.0
)
LEVEL = 0.5  # that fewer tokens leave


class CheapTrainer(PlantedTrainer):
    """Trials of fewer tokens measure something else beside, and all of them higher."""

    def result(self, trial) -> Result:
        found = super().result(trial)
        if found.failed or trial.schedule.tokens == 1000:
            return found
        bias = LEVEL + 0.05 * trial.schedule.weights[3]
        losses = {name: Loss(loss.nats + bias, loss.bits_per_byte) for name, loss in found.losses.items()}
        return replace(found, losses=losses)


def steps(folder):
    return planted.steps(folder, SETTINGS, target=Target.of_counts(np.ones(len(planted.TOKENS))))


def search(folder, trainer):
    return steps(folder).run(trainer)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    trainer = CheapTrainer()
    return folder, search(folder, trainer), trainer


def test_a_round_costs_no_more_than_its_trials_would(finished):
    folder, _, trainer = finished
    for number, trials in enumerate(SETTINGS.rounds, 1):
        asked = [trial.schedule.tokens for trial in trainer.trained if trial.round == number]
        # A first round has as many mixtures as all rounds have trials: too few here to spend all at a tenth.
        assert trials * 1000 - (1000 if number == 1 else 100) < sum(asked) <= trials * 1000
        assert set(asked) <= {100, 1000}
        table = pq.read_table(folder / "candidates" / f"round-{number}.parquet")
        assert [round(1000 * share) for share in table["fidelity"].to_pylist()] == asked
    assert len({trial.key for trial in trainer.trained}) == len(trainer.trained)


def test_what_is_best_is_a_whole_trial(finished):
    folder, found, trainer = finished
    report = json.loads((folder / "report.json").read_text())
    whole = {trial.key for trial in trainer.trained if trial.schedule.tokens == 1000}
    assert {row["key"] for row in report["leaderboard"]} <= whole
    assert {row["key"] for row in report["trials"] if "fidelity" not in row} == whole
    assert {row["fidelity"] for row in report["trials"] if row["key"] not in whole} == {0.1}
    ours = [row for row in report["trials"] if row["name"] == "bayes-fidelity"]
    for fit in report["rounds"]:
        known = [row["loss"] for row in ours if row["round"] <= fit["round"] and row["key"] in whole]
        assert fit["best_measured"] == min(known)
        assert -1 <= fit["cross_validation"]["spearman"] <= 1
    cost = report["cost"]["bayes-fidelity"]
    assert cost["tokens"] == sum(trial.schedule.tokens for trial in trainer.trained if 1 <= trial.round <= 3)
    assert cost["num_runs"] == len(ours) > sum(SETTINGS.rounds)
    # What is predicted is of all tokens, however few the mixture was trained on.
    assert found.predicted == pytest.approx(planted.loss(found.schedule.weights), abs=LEVEL / 2)
    assert planted.loss(found.schedule.weights) < planted.loss(found.others["natural"].weights)
    assert len(series.of_search(report["trials"], 3)) == len(whole & {row["key"] for row in ours})


def test_random_search_has_whole_trials_alone(finished):
    _, _, trainer = finished
    shared = sum(trial.schedule.tokens == 1000 for trial in trainer.trained if trial.round == 1)
    own = [trial for trial in trainer.trained if trial.name == "random"]
    assert {trial.schedule.tokens for trial in own} == {1000}
    assert shared + len(own) == sum(SETTINGS.rounds)


def test_a_plan_knows_what_the_first_round_buys(finished):
    _, _, trainer = finished
    random = sum(trial.name == "random" for trial in trainer.trained)
    asked = works(SETTINGS, Proxy(sequence=10, batch=5), SETTINGS.rounds, 4, random)
    ours = [work for work in asked if work.kind == "search"]
    first = [trial.schedule.tokens for trial in trainer.trained if trial.round == 1]
    assert {work.tokens: work.batches[0] for work in ours} == {tokens: first.count(tokens) for tokens in (1000, 100)}
    tokens = sum(work.num * work.tokens for work in ours)
    assert (sum(SETTINGS.rounds) - 3) * 1000 < tokens <= sum(SETTINGS.rounds) * 1000


@pytest.mark.parametrize("kill_after", [3, 15, 30])
def test_killed_anywhere_and_run_again_gives_the_same(finished, tmp_path, kill_after):
    with pytest.raises(Killed):
        search(tmp_path, CheapTrainer(kill_after=kill_after))
    search(tmp_path, CheapTrainer(order=lambda trials: trials[::-1]))
    assert outputs(tmp_path) == outputs(finished[0])


def test_trials_are_taken_over_by_their_tokens_too(finished, tmp_path):
    folder, found, _ = finished
    known = {entry.result.key: entry.result for entry in journal.read(folder / "journal.jsonl")}
    trainer = CheapTrainer()
    assert search(tmp_path, Reusing(trainer, known)).schedule == found.schedule
    assert trainer.trained == []


def test_rounds_without_a_whole_trial_have_no_best(tmp_path):
    failing = CheapTrainer(fails=lambda trial: trial.schedule.tokens == 1000)
    cheap = steps(tmp_path)
    cheap.propose_round(1)
    seen = []
    cheap.train_round(1, failing, seen.append)
    assert cheap.fit_round(1)["best_measured"] is None
    assert min(one.best for one in seen if one.trial.schedule.tokens == 100) > 3 + LEVEL
    assert all(np.isnan(one.best) for one in seen if one.trial.schedule.tokens == 1000)
    cheap.propose_round(2)


def test_candidates_of_whole_trials_are_written_as_ever(tmp_path):
    rows = np.full((2, 2), 0.5)
    candidates.write(tmp_path / "whole.parquet", Candidates.unpredicted(rows), {})
    assert pq.read_schema(tmp_path / "whole.parquet").names == SCHEMA.names
    assert candidates.read(tmp_path / "whole.parquet", {}).fidelities.tolist() == [1.0, 1.0]
    candidates.write(tmp_path / "cheap.parquet", Candidates.unpredicted(rows, (), np.array([0.1, 1.0])), {})
    assert candidates.read(tmp_path / "cheap.parquet", {}).fidelities.tolist() == [0.1, 1.0]
    assert "fidelities" not in Search().chosen()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"strategy": "auto"}, "take 'bayes-fidelity'"),
        ({"fidelities": (0.1, 0.5)}, "one of them 1"),
        ({"fidelities": (0.0, 1.0)}, "above 0"),
        ({"fidelities": (0.1, 0.1, 1.0)}, "two are the same"),
        ({"fidelities": (1e-5, 1.0)}, "or nothing"),
        ({"phases": (0.5, 0.5)}, "one mixture for the whole training"),
    ],
)
def test_fidelities_that_fit_no_search_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        Search(**{**SETTINGS.model_dump(), **changes})


def test_the_command_searches_a_corpus(copied, sirdar, monkeypatch):
    trainer = Planted()
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: trainer)
    with pytest.raises(SettingsError, match="under the"):
        stages.run_round(
            made_corpus.changed(copied, "search.strategy=bayes-fidelity", "search.fidelities=[0.001, 1]"), 1
        )
    corpus = made_corpus.changed(copied, "search.strategy=bayes-fidelity", "search.fidelities=[0.25, 1]")
    root, tokens = corpus.workspace.root, corpus.settings.search.tokens
    before = plan.planned(corpus, None)["kinds"]
    code, out, error = sirdar("mix", "search", "-w", root)
    assert code == 0, error
    assert "bayes-fidelity" in out
    entries = journal.read(folder_of(corpus, mixing.search) / "journal.jsonl")
    rounds = corpus.settings.search.rounds
    for number, trials in enumerate(rounds, 1):
        asked = [entry.trial.schedule.tokens for entry in entries if entry.trial.round == number]
        assert (trials - 1) * tokens < sum(asked) <= trials * tokens
    assert any(entry.trial.schedule.tokens < tokens for entry in entries)
    told = gathered(corpus)
    assert {trial.get("fidelity", 1) for trial in told["trials"]} == {0.25, 1}
    assert "bayes-fidelity" in html(told)
    assert shown.trials(corpus, 1)[0]["fidelity"] == 1
    used = plan.used(corpus)
    # The workspace's first search has some of these trials, which are taken over and cost nothing.
    spent = {"search": 0, "baselines": 0}
    for entry in entries:
        kind = "search" if 1 <= entry.trial.round <= len(rounds) else "baselines"
        spent[kind] += entry.result.tokens if entry.result.taken_from else 0
    assert min(spent.values()) > 0
    for kind in spent:
        spent[kind] += used[kind]["tokens"]
    assert used["search"]["num"] + used["search"]["taken"] > sum(rounds)
    assert used["search"]["num"] + used["baselines"]["num"] == len(trainer.trained)
    assert (sum(rounds) - 1) * tokens <= spent["search"] <= sum(rounds) * tokens
    assert before["search"]["tokens"] == pytest.approx(spent["search"], abs=len(rounds) * tokens)
    assert spent["baselines"] == before["baselines"]["tokens"]
    (listed,) = (one for one in searches(corpus) if one.digest == mixing.search(corpus).recipe.digest)
    assert (listed.finished, listed.asked) == (True, sum(rounds))
    assert listed.done <= listed.asked
    assert sirdar("mix", "export-tables", "-w", root, "--out", f"{root}/tables")[0] == 0
    runs = read_tables(corpus.workspace.local("tables", "ratios.csv"), corpus.workspace.local("tables", "metrics.csv"))
    assert len(runs.keys) == len({entry.result.key for entry in entries if entry.trial.schedule.tokens == tokens})
