"""What a search may be told beside its strategy: seeds of a trial, groups of clusters that stay as they are."""

import json

import numpy as np
import planted
import pyarrow.parquet as pq
import pytest
from planted import Killed, PlantedTrainer, search

from mixer.freezing import groups_of
from mixer.journal import read
from pipelines.configuration import load
from pipelines.errors import SettingsError
from pipelines.search_settings import Frozen, Search

SMALL = {"rounds": (8, 4), "tokens": 1000, "candidates": 400}
NAMES = ["law", "maths", "news", "code", "games", "food", "music", "law"]


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


# ---------------------------------------------------------------------------------------------------------
# Seeds


def test_each_trial_is_trained_on_paired_seeds_and_their_mean_is_its_loss(tmp_path):
    trainer = PlantedTrainer()
    search(tmp_path / "three", trainer, Search(**SMALL, seeds=3))
    assert len(trainer.trained) == 3 * (12 + 8)  # the search, which has the rules, and random's eight
    seeds = {}
    for trial in trainer.trained:
        seeds.setdefault(trial.schedule, []).append(trial.seed)
    assert {tuple(sorted(found)) for found in seeds.values()} == {(42, 43, 44)}
    assert len({(trial.round, trial.index, trial.seed) for trial in trainer.trained}) == len(trainer.trained)
    report = report_of(tmp_path / "three")
    assert report["cost"]["auto"]["num_runs"] == 36
    losses = {trial.key: trainer.result(trial).losses["narrow/search"].nats for trial in trainer.trained}
    keys = {}
    for trial in trainer.trained:
        keys.setdefault(trial.schedule, []).append(trial.key)
    known = {by_seed[0]: [losses[key] for key in by_seed] for by_seed in keys.values()}
    for row in report["trials"]:
        assert row["by_seed"] == known[row["key"]]
        assert row["loss"] == pytest.approx(np.mean(row["by_seed"]), abs=1e-12)
    assert "mean of 3 seeds" in report["remark"]


def test_a_trial_of_which_one_seed_failed_has_failed(tmp_path):
    trainer = PlantedTrainer(fails=lambda trial: trial.round == 1 and trial.index == 2 and trial.seed == 43)
    search(tmp_path, trainer, Search(**SMALL, seeds=2))
    report = report_of(tmp_path)
    assert [fit["num_runs"] for fit in report["rounds"]] == [7, 11]
    failed = [row for row in report["trials"] if row["loss"] is None and row["round"] == 1]
    assert [(row["index"], row["error"]) for row in failed] == [(2, "out of memory")]
    assert report["cost"]["auto"]["num_failed"] == 1


def test_one_seed_is_where_a_search_always_was_and_more_are_elsewhere():
    assert Search(strategy="climb").chosen() == {}
    assert Search(strategy="climb", seeds=2).chosen() == {"seeds": 2}
    with pytest.raises(SettingsError, match=r"search\.seeds"):
        load(changes=["search.seeds=0"])


# ---------------------------------------------------------------------------------------------------------
# Frozen groups

GROUPS = groups_of([Frozen(clusters=("maths", 3)), Frozen(clusters=(4, 5), weights=(3, 1))], NAMES, planted.TOKENS)


@pytest.mark.parametrize("name", ["auto", "climb", "olmix", "regmix", "random"])
def test_frozen_groups_keep_their_shares_whatever_the_strategy(name, tmp_path):
    settings = Search(**SMALL, strategy=name)
    found = search(tmp_path / "whole", PlantedTrainer(), settings, groups=GROUPS, tasks=("narrow/search",))
    rows = [found.schedule.weights, found.others["random"].weights]
    for number in (1, 2):
        path = tmp_path / "whole" / "candidates" / f"round-{number}.parquet"
        rows += pq.read_table(path)["weights"].to_pylist()
    for row in np.array(rows):
        assert row[1] * 80 == pytest.approx(row[3] * 40)  # by tokens
        assert row[4] == pytest.approx(3 * row[5])
    with pytest.raises(Killed):
        search(tmp_path / "broken", PlantedTrainer(kill_after=10), settings, groups=GROUPS, tasks=("narrow/search",))
    again = search(tmp_path / "broken", PlantedTrainer(), settings, groups=GROUPS, tasks=("narrow/search",))
    assert again.schedule == found.schedule
    assert read(tmp_path / "broken" / "journal.jsonl") == read(tmp_path / "whole" / "journal.jsonl")


def test_shares_of_an_earlier_mixture_are_taken_by_the_clusters_names(tmp_path):
    path = tmp_path / "mixture.json"
    path.write_text(json.dumps({"clusters": ["code", "news", "maths"], "weights": [0.2, 0.5, 0.3]}))
    groups = groups_of([Frozen(clusters=("maths", "code"), mixture=str(path))], NAMES, planted.TOKENS)
    assert groups.inner[0, [1, 3]].tolist() == pytest.approx([0.6, 0.4])
    assert groups.inner.shape == (7, 8)
    path.write_text(json.dumps({"clusters": ["code", "news", "maths"], "weights": [0.0, "a lot", 0.0]}))
    with pytest.raises(SettingsError, match=r"no readable mixture\.json: .*a lot"):
        groups_of([Frozen(clusters=("maths", "news"), mixture=str(path))], NAMES, planted.TOKENS)
    path.write_text(json.dumps({"clusters": ["code", "news", "maths"], "weights": [0.0, 1.0, 0.0]}))
    with pytest.raises(SettingsError, match="gives maths, code nothing at all"):
        groups_of([Frozen(clusters=("maths", "code"), mixture=str(path))], NAMES, planted.TOKENS)
    with pytest.raises(SettingsError, match=r"weighs no cluster games; it has: code, news, maths"):
        groups_of([Frozen(clusters=("maths", "games"), mixture=str(path))], NAMES, planted.TOKENS)


@pytest.mark.parametrize(
    ("group", "told"),
    [
        ({"clusters": ("math", 3)}, "names 'math': no cluster is called that; there are: 0 law, 1 maths"),
        ({"clusters": ("law", 3)}, "names 'law': 2 clusters are called that; name it by number"),
        ({"clusters": (8, 3)}, "names 8: no cluster is called that"),
        ({"clusters": (1, 3), "mixture": "none.json"}, "is no readable mixture.json"),
        ({"clusters": ("maths", 1)}, "each bucket is one of 8"),
        ({"clusters": tuple(range(8))}, "nothing is left to search"),
    ],
)
def test_groups_of_what_is_no_cluster_are_refused(group, told, tmp_path):
    def searched_among():
        search(tmp_path, PlantedTrainer(), Search(**SMALL), groups=groups_of([Frozen(**group)], NAMES, planted.TOKENS))

    with pytest.raises(SettingsError, match=told):
        searched_among()


@pytest.mark.parametrize(
    ("frozen", "told"),
    [
        ("[{clusters=[1, 1]}]", "names a cluster twice"),
        ("[{clusters=[1, 2], weights=[1]}]", "one for each"),
        ("[{clusters=[1, 2], weights=[1, 2], mixture='m.json'}]", "give one of the two"),
        ("[{clusters=[1]}]", "clusters"),
    ],
)
def test_groups_that_settings_cannot_mean_are_refused_with_them(frozen, told):
    with pytest.raises(SettingsError, match=told):
        load(changes=[f"search.frozen={frozen}"])


def test_exposure_needs_the_clusters_that_groups_hide():
    with pytest.raises(SettingsError, match="hides the clusters of a group"):
        load(changes=["search.strategy='climb'", "search.predictor='exposure'", "search.frozen=[{clusters=[1, 2]}]"])


# ---------------------------------------------------------------------------------------------------------
# Caps that leave little


@pytest.mark.parametrize(
    "given",
    [
        {"strategy": "remixing", "phases": (0.7, 0.3)},
        {"strategy": "bayes-fidelity", "fidelities": (0.2, 1.0)},
    ],
)
def test_no_mixture_is_bought_twice_where_caps_are_tight(given, tmp_path):
    """Most draws end in one corner: to nine digits, that is one mixture."""
    settings = Search(rounds=(6, 3, 2), tokens=1000, candidates=120, max_epochs=1.01, **given)
    made = planted.steps(tmp_path, settings)
    made.run(PlantedTrainer())
    for number in made.rounds:
        found = made.proposals.drawn(number)
        rows = np.round(np.column_stack([found.weights, found.fidelities]), 9)
        assert len(np.unique(rows, axis=0)) == len(rows)
