"""What a search serves: a target or weighted parts, in nats or bits per byte, alike in the search and at its end."""

import math
from dataclasses import replace

import made_corpus
import numpy as np
import planted
import pytest
from made_searches import Planted, copied, searched

from mixer import lineage as mixing
from mixer import objectives, searches, stages
from mixer.candidates import Space
from mixer.runs import Objective, Part, loss_on
from mixer.strategies.olmix import mixing_laws, olmix
from mixer.strategy import History, Problem, per_task
from mixer.trial import Loss, Result
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError
from pipelines.pooling import open_pool, read_evaluations


def with_search(corpus: Corpus, **changes) -> Corpus:
    return replace(
        corpus,
        settings=corpus.settings.model_copy(update={"search": corpus.settings.search.model_copy(update=changes)}),
    )


class Halves(Planted):
    """Answers for half of a cluster too."""

    def result(self, trial):
        found = super().result(trial)
        weights = np.array(trial.schedule.weights)
        parts = {f"{split}/cluster/001": Loss(3 - weights[1], 2 - weights[1]) for split in ("search", "final")}
        return replace(found, losses={**found.losses, **parts})


# ---------------------------------------------------------------------------------------------------------
# The value


def test_an_objective_is_the_weighted_mean_of_its_parts_each_in_its_metric():
    result = Result("k", {"a": Loss(4.0, 1.0), "b": Loss(3.0, 0.5), "c": Loss(9.0, 9.0)}, 1, 1.0)
    objective = Objective((Part("a", 3.0), Part("b", 1.0, "bits_per_byte")))
    assert objective(result) == (3 * 4.0 + 1 * 0.5) / 4
    assert objective.unit == "in the weighted mean"
    assert [objective.value(name, loss) for name, loss in result.losses.items()] == [4.0, 0.5, 9.0]
    assert loss_on("a", "b")(result) == 3.5
    assert (loss_on("a").unit, Objective((Part("a", 1.0, "bits_per_byte"),)).unit) == ("nats", "bits per byte")


def test_a_part_without_a_loss_is_named_with_those_there_are():
    with pytest.raises(SettingsError, match="no loss named b in the results; there are: a"):
        loss_on("a", "b")(Result("k", {"a": Loss(4.0, 1.0)}, 1, 1.0))


# ---------------------------------------------------------------------------------------------------------
# Names


def test_one_target_in_nats_keeps_the_address_that_it_had(built):
    settings = mixing.search(built).recipe.settings
    assert settings["objective"] == "stars"
    assert not {"objectives", "metric"} & settings["search"].keys()
    label = mixing.search(built).label
    assert mixing.search(with_search(built, objectives={"stars": 7.0})).label == label


def test_other_weights_and_metrics_are_other_searches(built):
    asked = [
        {},
        {"metric": "bits_per_byte"},
        {"objectives": {"stars": 1.0, "mixed": 1.0}},
        {"objectives": {"stars": 2.0, "mixed": 1.0}},
        {"objectives": {"cluster/001": 1.0}},
    ]
    assert len({mixing.search(with_search(built, **changes)).label for changes in asked}) == len(asked)
    doubled = {"objectives": {"stars": 4.0, "mixed": 2.0}}  # only the proportions count
    assert mixing.search(with_search(built, **doubled)).label == mixing.search(with_search(built, **asked[3])).label


def test_a_loss_of_ones_own_evaluator_is_a_number_whatever_texts_are_measured_in(built):
    changes = {"metric": "bits_per_byte", "objectives": {"mine": 1.0, "stars": 1.0}}
    with_own = objectives.objective_of(with_search(built, evaluator=("measure",), **changes), "search")
    assert [part.metric for part in with_own.parts] == ["nats", "bits_per_byte"]
    assert with_own(Result("k", {"mine": Loss(3.0, math.nan), "search/stars": Loss(9.0, 1.0)}, 1, 1.0)) == 2.0
    # A trainer of one's own may give both of any name.
    with_trainer = objectives.objective_of(with_search(built, trainer=("train",), **changes), "search")
    assert [part.metric for part in with_trainer.parts] == ["bits_per_byte", "bits_per_byte"]


def test_clusters_are_named_by_number_or_by_name(built):
    from pipelines.clusters import read_clusters

    name = read_clusters(built)["name"][2].as_py()
    for asked in ("cluster/002", "cluster/2", f"cluster/{name}"):
        assert objectives.served(with_search(built, objectives={asked: 0.5})).names == ("cluster/002",)
    for wrong in ("cluster/099", "cluster/none such"):
        with pytest.raises(SettingsError, match=r"no cluster '.*'; there are: 000 "):
            objectives.served(with_search(built, objectives={wrong: 1.0}))
    with pytest.raises(SettingsError, match="is cluster/002, which has a weight already"):
        objectives.served(with_search(built, objectives={"cluster/002": 1.0, f"cluster/{name}": 1.0}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("search.objectives={star=1}", "'star' is no target or task; there are: stars, mixed; did you mean 'stars'"),
        ("search.objectives={quux=1}", "a cluster is written cluster/003"),
        ("search.objectives={stars=0}", r"search\.objectives\.stars = 0: a weight is above 0"),
        ("search.objectives={stars=-1}", "a weight is above 0"),
        ("search.rounds=[8, 0]", r"search\.rounds.*greater than 0"),
        ("search.candidates=3", r"search\.candidates = 3: fewer than the \d+ trials of search\.rounds"),
        ("search.metric='bits'", "Input should be 'nats' or 'bits_per_byte'"),
    ],
)
def test_names_and_weights_that_are_none_are_refused_with_the_settings(built, change, told):
    with pytest.raises(SettingsError, match=told):
        made_corpus.changed(built, change)


def test_one_target_and_a_table_of_them_are_too_many(built):
    with pytest.raises(SettingsError, match="give one of the two"):
        made_corpus.changed(built, "search.objective='stars'", "search.objectives={mixed=1}")


# ---------------------------------------------------------------------------------------------------------
# What is measured


def test_a_served_cluster_is_measured_on_one_half_of_its_own_texts_and_judged_on_the_other(built):
    pool = open_pool(built)
    corpus = with_search(built, objectives={"cluster/001": 1.0})
    halves = [objectives.evaluations(corpus, split)[f"{split}/cluster/001"] for split in ("search", "final")]
    whole = pool.tokens(1, "validation")
    assert np.concatenate([half.tokens for half in halves]).tolist() == whole.tolist()
    assert sum(half.num_bytes for half in halves) == pytest.approx(int(pool.num_bytes["validation"][1]), abs=1)
    assert objectives.evaluations(built, "search").keys() == {
        "search/stars",
        "search/mixed",
        *(f"cluster/{bucket:03d}" for bucket in range(pool.num_buckets)),
    }


def test_nearest_is_the_weighted_mean_of_the_parts_shares(built):
    _, documents = read_evaluations(built)
    stars, mixed = (np.array(documents[name]) / sum(documents[name]) for name in ("stars", "mixed"))
    corpus = with_search(built, objectives={"stars": 2.0, "mixed": 1.0, "cluster/001": 1.0})
    wanted = 0.5 * stars + 0.25 * mixed + 0.25 * np.eye(len(stars))[1]
    assert objectives.nearest(corpus) == pytest.approx(wanted)
    assert objectives.nearest(built).tolist() == documents["stars"]


# ---------------------------------------------------------------------------------------------------------
# Tasks apart


def history(seed: int = 0) -> History:
    random = np.random.default_rng(seed)
    weights = random.dirichlet(np.ones(8), 40)
    tasks = {name: 2 + np.exp(-weights[:, place]) for name, place in (("a", 0), ("b", 1))}
    return History(weights, (tasks["a"] + tasks["b"]) / 2, np.ones(40, np.int64), tasks)


@pytest.mark.parametrize("made", [olmix, mixing_laws])
def test_strategies_that_predict_tasks_apart_weigh_them_as_the_objective_does(made):
    space = Space.of(planted.TOKENS, budget_tokens=1_000_000, max_epochs=15.0)
    problem = Problem(space, np.eye(8), np.eye(8), tasks=("a", "b"))
    known = history()
    found = {weights: made(replace(problem, weights=weights)) for weights in ((), (1.0, 1.0), (9.0, 1.0), (1.0, 9.0))}
    assert found[()].recommend(known).tolist() == found[1.0, 1.0].recommend(known).tolist()
    much, little = (found[weights].recommend(known) for weights in ((9.0, 1.0), (1.0, 9.0)))
    assert much[0] > little[0] + 0.1
    assert much[1] < little[1] - 0.1
    laws = [made(replace(problem, tasks=(name,))).fit(known) for name in ("a", "b")]
    means = [law.mean(known.weights) for law in laws]
    assert found[9.0, 1.0].fit(known).mean(known.weights) == pytest.approx(0.9 * means[0] + 0.1 * means[1])
    assert len(per_task(known, ("a", "b"))) == 2


# ---------------------------------------------------------------------------------------------------------
# The whole way


def test_search_and_comparison_are_of_the_same_weighted_objective(built, tmp_path, monkeypatch):
    corpus = made_corpus.changed(
        copied(built, tmp_path),
        "search.objectives={mixed=1, 'cluster/001'=3}",
        "search.metric='bits_per_byte'",
        "search.strategy='olmix'",
    )
    searched(corpus, Halves(), monkeypatch, until="comparison")
    mixture, judged = stages.read_mixture(corpus), stages.read_comparison(corpus)
    assert mixture["objective"] == judged["target"] == "mixed 25 %, cluster/001 75 %"
    assert [part["weight"] for part in mixture["parts"]] == [0.25, 0.75]
    assert judged["unit"] == "bits per byte"
    assert all("bits per byte" in one["text"] for one in judged["verdicts"])
    search = searches.search_of(corpus, tmp_path)
    assert search.tasks == ("search/mixed", "search/cluster/001")
    assert search.weights == (0.25, 0.75)
    objective = objectives.objective_of(corpus, "final")
    trial = Halves().result
    entries = searches.journal.read(corpus.workspace.local(*mixing.comparison(corpus).steps) / "journal.jsonl")
    losses = {(entry.trial.name, entry.trial.seed): objective(trial(entry.trial)) for entry in entries}
    for name, row in judged["mixtures"].items():
        for seed, loss in zip(judged["seeds"], row["losses"], strict=True):
            if (name, seed) in losses:
                assert loss == pytest.approx(losses[name, seed])
    first = losses["search", judged["seeds"][0]]
    assert math.isfinite(first)
    assert first < 3  # bits per byte, of which nats are three times as many
    assert "bits per byte" in stages._evidence(corpus)["metric"]
