import json
import random
from functools import partial

import numpy as np
import planted
import pyarrow.parquet as pq
import pytest
from planted import NEAREST, Killed, PlantedTrainer, outputs

from mixer import candidates, comparison
from mixer.predictors.choice import PREDICTORS
from mixer.predictors.kriging import Kriging
from mixer.report import series
from mixer.runs import loss_on
from mixer.search import MixtureSearch
from mixer.strategies import choice
from mixer.strategy import Problem, Target
from mixer.tables import of_outcomes, read_tables, written
from pipelines.configuration import load
from pipelines.errors import SettingsError, StoreError, TrialError
from pipelines.search_settings import Proxy, Search

SETTINGS = Search(strategy="climb", rounds=(20, 10, 5), tokens=1000, candidates=5000)
WITH_TOPICS = Target(np.array(NEAREST), np.eye(8), np.array(NEAREST) / sum(NEAREST) * 0.9 + np.eye(8)[3] * 0.1)


def search(folder, trainer, settings=SETTINGS, **changes):
    return planted.search(folder, trainer, settings, **changes)


def compare(folder, found, trainer, settings=SETTINGS):
    return comparison.compare(
        folder,
        {"climb": found.schedule, **found.others},
        proxy=Proxy(),
        settings=settings,
        data="digest",
        trainer=trainer,
        objective=loss_on("narrow/final"),
    )


def steps(folder, settings=SETTINGS) -> MixtureSearch:
    return planted.steps(folder, settings)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One unbroken search."""
    folder = tmp_path_factory.mktemp("unbroken")
    trainer = PlantedTrainer()
    return folder, search(folder, trainer), trainer


def test_finds_a_better_mixture_than_the_rules_where_there_is_one(finished, tmp_path):
    _, found, _ = finished
    regret = {name: planted.loss(row.weights) for name, row in found.others.items()}
    ours = planted.loss(found.schedule.weights)
    assert ours < min(regret.values()) - 0.05
    assert ours - planted.loss(planted.BEST) < 0.1
    verdicts = compare(tmp_path, found, PlantedTrainer()).verdicts
    assert {verdict.other: verdict.outcome for verdict in verdicts}["natural"] == "beats"
    assert {verdict.other: verdict.outcome for verdict in verdicts}["uniform"] == "beats"


def test_every_seed_beats_the_rules_by_more_than_a_trials_noise(tmp_path):
    gains = []
    for seed in (1, 2, 3):
        found = search(tmp_path / str(seed), PlantedTrainer(), Search(**{**SETTINGS.model_dump(), "seed": seed}))
        best = min(planted.loss(found.others[name].weights) for name in ("natural", "uniform", "entropy"))
        gains.append(best - planted.loss(found.schedule.weights))
    assert min(gains) > PlantedTrainer().noise
    assert np.mean(gains) > 0.05


def test_trains_each_mixture_once_and_shares_the_first_round(finished):
    folder, _, trainer = finished
    keys = [trial.key for trial in trainer.trained]
    assert len(set(keys)) == len(keys) == 35 + 4 + 15
    assert {trial.name for trial in trainer.trained} == {
        "climb", "random", "natural", "uniform", "nearest", "entropy"
    }  # fmt: skip
    assert len({(trial.round, trial.index) for trial in trainer.trained}) == len(keys)
    report = json.loads((folder / "report.json").read_text())
    assert report["cost"]["climb"] == {"num_runs": 35, "num_failed": 0, "tokens": 35_000, "seconds": 17.5}
    assert report["cost"]["random"]["num_runs"] == 15


def test_report_says_what_was_predicted_and_measured(finished):
    folder, found, trainer = finished
    report = json.loads((folder / "report.json").read_text())
    assert [fit["round"] for fit in report["rounds"]] == [1, 2, 3]
    assert report["rounds"][0]["rank_correlation_of_proposals"] is None
    assert all(-1 <= fit["rank_correlation_of_proposals"] <= 1 for fit in report["rounds"][1:])
    assert report["rounds"][2]["cross_validation"]["better_than_chance"]
    assert report["recommended"]["weights"] == list(found.schedule.weights)
    told = {row["key"]: row for row in report["trials"]}
    losses = loss_on("narrow/search")
    for trial in trainer.trained:
        assert told[trial.key]["loss"] == losses(trainer.result(trial))
        assert (told[trial.key]["predicted"] is None) == (trial.name != "climb" or trial.round == 1)
    ranked = [row["loss"] for row in report["leaderboard"]]
    assert ranked == sorted(ranked)
    assert ranked[0] == min(row["loss"] for row in report["trials"])
    natural = next(row["loss"] for row in report["trials"] if row["name"] == "natural")
    assert report["others"]["natural"]["measured"] == natural
    assert found.schedule.tokens == sum(planted.TOKENS)
    assert np.allclose(
        report["recommended"]["epochs"],
        np.array(found.schedule.weights) * sum(planted.TOKENS) / np.array(planted.TOKENS),
    )


def test_running_again_trains_nothing_and_changes_nothing(finished):
    folder, found, _ = finished
    before = outputs(folder)
    trainer = PlantedTrainer()
    assert search(folder, trainer) == found
    assert trainer.trained == []
    assert outputs(folder) == before


@pytest.mark.parametrize("kill_after", [0, 1, 20, 25, 37, 45])
def test_killed_anywhere_and_run_again_gives_the_same(finished, tmp_path, kill_after):
    with pytest.raises(Killed):
        search(tmp_path, PlantedTrainer(kill_after=kill_after))
    journal = tmp_path / "journal.jsonl"
    if journal.exists():
        journal.write_bytes(journal.read_bytes()[:-7])  # the last line is torn as well
    search(tmp_path, PlantedTrainer())
    assert outputs(tmp_path) == outputs(finished[0])


def test_trees_resume_alike(tmp_path):
    settings = Search(**{**SETTINGS.model_dump(), "rounds": (50, 4)})
    generator = random.Random(0)
    shuffled = PlantedTrainer(order=lambda trials: generator.sample(trials, len(trials)))
    whole, broken = (steps(tmp_path / name, settings) for name in ("whole", "broken"))
    for number in (1, 2):
        whole.propose_round(number)
        whole.train_round(number, PlantedTrainer())
        broken.propose_round(number)
        with pytest.raises(Killed):
            broken.train_round(number, PlantedTrainer(kill_after=2))
        broken.train_round(number, shuffled)
    found = whole.recommend()
    assert broken.recommend().schedule == found.schedule
    name = "candidates/round-2.parquet"
    assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert planted.loss(found.schedule.weights) < planted.loss(found.others["uniform"].weights)


@pytest.mark.parametrize("seed", [0, 1])
def test_order_of_arrival_does_not_matter(finished, tmp_path, seed):
    generator = random.Random(seed)
    search(tmp_path, PlantedTrainer(order=lambda trials: generator.sample(trials, len(trials))))
    assert outputs(tmp_path) == outputs(finished[0])
    assert (tmp_path / "journal.jsonl").read_bytes() != (finished[0] / "journal.jsonl").read_bytes()


def test_candidates_are_written_before_training(tmp_path):
    with pytest.raises(Killed):
        search(tmp_path, PlantedTrainer(kill_after=0))
    table = pq.read_table(tmp_path / "candidates" / "round-1.parquet")
    assert table.num_rows == 20
    assert table["predicted"].null_count == 20
    assert not (tmp_path / "candidates" / "round-2.parquet").exists()


def test_caps_hold_at_the_datasets_budget(tmp_path):
    budget = 2 * sum(planted.TOKENS)
    settings = Search(**{**SETTINGS.model_dump(), "max_epochs": 4.0})
    found = search(tmp_path, PlantedTrainer(), settings, budget_tokens=budget)
    for schedule in (found.schedule, *found.others.values()):
        epochs = np.array(schedule.weights) * budget / np.array(planted.TOKENS)
        assert (epochs <= 4 + 1e-9).all()
    assert found.schedule.tokens == budget


def test_another_searchs_folder_is_refused(finished):
    folder, _, _ = finished
    with pytest.raises(StoreError, match=r"drawn for another search \(data differ\)"):
        search(folder, PlantedTrainer(), data="other")


def test_steps_run_apart_and_in_order(finished, tmp_path):
    """As Dagster runs them: each in its own process, so each with an object of its own."""
    fresh = partial(steps, tmp_path)
    with pytest.raises(StoreError, match="round 1 has not been proposed"):
        fresh().train_round(1, PlantedTrainer())
    fresh().propose_round(1)
    with pytest.raises(TrialError, match="20 of 20 trials of round 1 are not trained yet"):
        fresh().propose_round(2)
    fresh().train_rules(PlantedTrainer())
    for number in fresh().rounds:
        fresh().propose_round(number)
        fresh().train_round(number, PlantedTrainer())
        fresh().fit_round(number)
    early = fresh().recommend()  # before random search's further runs: the best of round 1 stands for it
    fresh().train_random(PlantedTrainer())
    assert fresh().recommend().schedule == early.schedule
    assert outputs(tmp_path) == outputs(finished[0])


# ---------------------------------------------------------------------------------------------------------
# Strategies and predictors by name

SMALL = {"rounds": (12, 4), "tokens": 1000, "candidates": 400}
TASKS = ("narrow/search",)


@pytest.mark.parametrize("name", Search.STRATEGIES)
def test_every_strategy_is_killed_and_resumed_to_the_same_journal(name, tmp_path):
    settings = Search(**SMALL, strategy=name)
    whole, broken = PlantedTrainer(), PlantedTrainer(kill_after=7 if name in choice.RULES else 14)
    begin = partial(search, settings=settings, tasks=TASKS, target=WITH_TOPICS)
    found = begin(tmp_path / "whole", whole)
    assert "domain2vec" in found.others
    with pytest.raises(Killed):
        begin(tmp_path / "broken", broken)
    assert begin(tmp_path / "broken", PlantedTrainer()).schedule == found.schedule
    assert outputs(tmp_path / "broken") == outputs(tmp_path / "whole")
    journals = [(tmp_path / folder / "journal.jsonl").read_bytes() for folder in ("whole", "broken")]
    assert journals[0] == journals[1]
    report = json.loads((tmp_path / "whole" / "report.json").read_text())
    own = report["strategy"]
    assert own == name
    assert report["cost"][own]["num_runs"] == (1 if name in choice.RULES else 16)
    assert [fit["round"] for fit in report["rounds"]] == [1, 2]
    assert ("predictor" in report["rounds"][0]) == (name not in (*choice.RULES, "random"))


@pytest.mark.parametrize("name", sorted(choice.IN_ORDER))
def test_what_has_one_round_takes_the_start_sampler_in_order(name, tmp_path):
    settings, trainer = Search(**SMALL, strategy=name), PlantedTrainer()
    search(tmp_path, trainer, settings)
    rounds = [pq.read_table(tmp_path / "candidates" / f"round-{number}.parquet") for number in (1, 2)]
    proposed = np.concatenate([table["weights"].to_pylist() for table in rounds])
    assert np.array_equal(proposed, candidates.start(steps(tmp_path, settings).problem.space, 16, seed=settings.seed))
    # Random search has the same draws, so that it costs nothing beside them.
    assert len(trainer.trained) == 16 + 4


def test_the_automatic_search_begins_with_the_rules_and_trains_them_once(tmp_path):
    settings, trainer = Search(rounds=(8, 4, 4), tokens=1000, candidates=2000), PlantedTrainer()
    assert settings.strategy == "auto"
    found = search(tmp_path, trainer, settings)
    first = np.array(pq.read_table(tmp_path / "candidates" / "round-1.parquet")["weights"].to_pylist())
    known = ["nearest", "natural", "uniform", "entropy"]  # unimax is natural where the budget is all there is
    assert [tuple(row) for row in first[:4]] == [found.others[name].weights for name in known]
    draws = candidates.start(steps(tmp_path, settings).problem.space, 16, seed=settings.seed)
    assert np.array_equal(first[4:], draws[:4])
    # Rules cost nothing beside it, and random search has its own sixteen draws, four of them shared.
    assert len(trainer.trained) == 16 + 12
    report = json.loads((tmp_path / "report.json").read_text())
    assert all(report["others"][name]["measured"] is not None for name in known)
    of_random = series.of_random(report["trials"], 3)
    assert [(one["round"], one["index"]) for one in of_random[:5]] == [(1, 4), (1, 5), (1, 6), (1, 7), (4, 0)]
    assert len(of_random) == 16
    assert (
        planted.loss(found.schedule.weights) <= min(planted.loss(found.others[name].weights) for name in known) + 0.03
    )


def test_names_in_the_settings_are_those_there_are(finished):
    assert set(Search.STRATEGIES) == {*choice.STRATEGIES, *choice.RULES}
    assert set(Search.PREDICTORS) == {*PREDICTORS, "exposure"}
    space = steps(finished[0]).problem.space
    rows = candidates.start(space, 20, seed=1)
    given = Problem(space, rows, rows, predictor=Kriging())
    taken = {name for name, make in choice.STRATEGIES.items() if hasattr(make(given), "predictor")}
    assert set(Search.WITH_PREDICTOR) == taken


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (["search.strategy=bayess"], "search.strategy = 'bayess'.*did you mean 'bayes'.*There are: auto, climb,"),
        (["search.strategy=x"], "no strategy is called that; there are: auto"),
        (["search.strategy=domain2vec", "clusters.by=source"], "clusters.by = 'source' has none"),
        (["search.final_mixtures=['domain2vec']", "clusters.by=source"], "clusters.by = 'source' has none"),
        (["search.predictor=krieging"], "search.predictor = 'krieging'.*did you mean 'kriging'"),
        (["search.strategy=olmix", "search.predictor=stack"], "the strategy 'olmix' has its own or none"),
    ],
)
def test_names_that_are_none_are_refused_with_the_settings(change, told):
    with pytest.raises(SettingsError, match=told):
        load(changes=change)


def test_the_predictor_named_is_the_one_that_is_fitted(tmp_path):
    notes = {"loglinear": "log-linear", "linear": "linear", "exposure": "exposure", "": "kriging"}
    for name, note in notes.items():
        folder = tmp_path / (name or "own")
        made = steps(folder, Search(**{**SMALL, "rounds": (12,)}, strategy="climb", predictor=name))
        made.propose_round(1)
        made.train_round(1, PlantedTrainer())
        assert note in made.fit_round(1)["predictor"]


def test_a_finished_search_is_a_table_of_all_its_runs(finished, tmp_path):
    folder, _, trainer = finished
    runs = of_outcomes(steps(folder).outcomes(), [f"bucket {number}" for number in range(8)])
    assert sorted(runs.keys) == sorted(trial.key for trial in trainer.trained)
    for name, data in zip(("ratios.csv", "metrics.csv"), written(runs), strict=True):
        (tmp_path / name).write_bytes(data)
    again = read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")
    assert again.keys == runs.keys
    assert np.allclose(again.weights, runs.weights, rtol=0, atol=1e-15)
    told = {trial.key: trainer.result(trial).losses["narrow/search"].nats for trial in trainer.trained}
    assert again.metrics["objective"].tolist() == [told[key] for key in runs.keys]


# ---------------------------------------------------------------------------------------------------------
# The two honesty controls, without training


def labelled(labels, topics, num_buckets=8) -> np.ndarray:
    """(buckets, topics): the topics of the documents that carry each label."""
    counts = np.zeros((num_buckets, 8))
    np.add.at(counts, (labels, topics), 1)
    return counts / counts.sum(axis=1, keepdims=True)


def test_identical_clusters_show_no_difference(tmp_path):
    flat = np.tile(np.array(planted.TOKENS) / sum(planted.TOKENS), (8, 1))
    outcomes = []
    for seed in range(3):
        settings = Search(**{**SETTINGS.model_dump(), "seed": 100 * seed})
        found = search(tmp_path / f"{seed}", PlantedTrainer(flat), settings)
        verdicts = compare(tmp_path / f"{seed}" / "final", found, PlantedTrainer(flat), settings).verdicts
        outcomes += [verdict.outcome for verdict in verdicts]
        report = json.loads((tmp_path / f"{seed}" / "report.json").read_text())
        assert "is not shown to beat the best rule" in report["remark"]
    assert outcomes == ["no difference shown"] * 15


def test_shuffled_cluster_labels_take_the_gain_away(tmp_path):
    random = np.random.default_rng(0)
    topics = random.choice(8, 20_000, p=np.array(planted.TOKENS) / sum(planted.TOKENS))
    noisy = np.where(random.random(20_000) < 0.1, random.integers(0, 8, 20_000), topics)  # clusters are not pure
    gains = {}
    for name, labels in {"true": noisy, "shuffled": random.permutation(noisy)}.items():
        held = labelled(labels, topics)
        found = search(tmp_path / name, PlantedTrainer(held))
        comparison = compare(tmp_path / name / "final", found, PlantedTrainer(held))
        gains[name] = {verdict.other: verdict for verdict in comparison.verdicts}
    assert gains["true"]["natural"].outcome == gains["true"]["uniform"].outcome == "beats"
    assert gains["shuffled"]["natural"].outcome == gains["shuffled"]["uniform"].outcome == "no difference shown"
    assert abs(gains["shuffled"]["natural"].difference) < gains["true"]["natural"].difference / 4
