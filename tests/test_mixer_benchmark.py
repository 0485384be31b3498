"""The mixture benchmark's own counting; nothing is timed."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "infra" / "benchmarks" / "mixer"))
import bench_transfer
import cells
import domains
import public_tables
import training
from bench_fidelity import Shop, spent
from bench_predictors import against_singles
from bench_real import RULES, SEARCHES, Plan, fitted, luck, searched, speed_up
from bench_search import Pool, _of_rule, _without_repeats
from domains import World
from landscapes import all_landscapes
from simulation import code_of, on_table, rounds_of
from tasked import LAWS, by_topic, measured

from mixer.journal import read
from mixer.predictors.choice import PREDICTORS
from mixer.proxies.data import Evaluation
from mixer.strategies import choice
from mixer.strategy import Target
from mixer.trial import Loss, Result
from pipelines.search_settings import Proxy


def test_cells_are_made_once_and_a_torn_one_again(tmp_path):
    made = []

    def work(seed: int) -> int:
        made.append(seed)
        return seed * 10

    assert cells.Bench(tmp_path, tmp_path, 2).over_seeds("a", work) == [0, 10]
    assert cells.Bench(tmp_path, tmp_path, 3).over_seeds("a", work) == [0, 10, 20]
    assert cells.Bench(tmp_path, tmp_path, 3).over_seeds("a", work, most=2) == [0, 10]
    assert made == [0, 1, 2]
    path = tmp_path / "mixer-cells.jsonl"
    path.write_text(path.read_text()[:-4], encoding="utf-8")
    again = cells.Bench(tmp_path, tmp_path, 3)
    assert again.over_seeds("a", work) == [0, 10, 20]
    assert (again.num_known, again.num_made) == (2, 1)
    assert made == [0, 1, 2, 2]
    # Another text of the code is another figure.
    cells.Bench(tmp_path, tmp_path, 1).over_seeds("a", work, ["another"])
    assert made == [0, 1, 2, 2, 0]


def test_processes_make_the_same_cells_and_their_end_is_an_error(tmp_path):
    assert cells.Bench(tmp_path, tmp_path, 5, processes=2).over_seeds("a", lambda seed: seed**2) == [0, 1, 4, 9, 16]
    with pytest.raises(RuntimeError, match="ended with 3"):
        cells.Bench(tmp_path, tmp_path, 2, processes=2).over_seeds("b", lambda seed: os._exit(3))


def test_a_cell_depends_on_the_definitions_that_its_method_uses(monkeypatch, tmp_path):
    (tmp_path / "method.py").write_text("from parts import used\n\ndef search():\n    return used()\n")
    body = "SIZE = 3\n\ndef used():\n    pass\n    return inner() + SIZE\n\ndef inner():\n    return 1\n"

    def digest(text: str) -> str:
        (tmp_path / "parts.py").write_text(text)
        cells.code_of_module.cache_clear()
        cells._definitions.cache_clear()
        return cells.code_of_module("method")

    with monkeypatch.context() as patch:
        patch.setattr(cells, "HERE", tmp_path)
        first = digest(body)
        assert digest(body + "\ndef other():\n    return 2\n") == first
        assert digest(body.replace("pass", "'What.'  # why\n    pass")) == first
        assert digest(body.replace("return 1", "return 2")) != first
        assert digest(body.replace("SIZE = 3", "SIZE = 4")) != first
    cells.code_of_module.cache_clear()
    cells._definitions.cache_clear()
    assert code_of("climb") != code_of("climb-recipe")  # one module, other settings


def test_rows_take_the_place_of_their_namesakes(tmp_path):
    cells.merged(tmp_path / "out.json", [cells.Row.of("a", [1.0, 3.0], "x", 5), cells.Row.of("b", [1.0], "x", 5)], "1")
    cells.merged(tmp_path / "out.json", [cells.Row.of("a", [4.0], "x", 5)], "2")
    told = {row["name"]: row for row in json.loads((tmp_path / "out.json").read_text())}
    assert (told["a"]["value"], told["a"]["spread"], told["a"]["date"]) == (4.0, None, "2")
    assert (told["b"]["seeds"], told["b"]["date"]) == (1, "1")


def test_a_faster_curve_is_told_as_a_multiple_and_no_further_than_it_is_known():
    curve = {times: np.full(2, 2 + times**-0.5) for times in (0.25, 0.5, 1.0, 2.0, 4.0)}
    assert speed_up(3.0, curve) == pytest.approx(1.0)
    assert speed_up(2 + 3**-0.5, curve) == pytest.approx(3.0, rel=0.05)
    assert (speed_up(9.0, curve), speed_up(1.0, curve)) == (0.25, 4.0)
    assert speed_up(2.25, fitted({at: curve[at] for at in (0.25, 0.5, 1.0)})) == pytest.approx(16, rel=0.2)
    rows = np.random.default_rng(0).normal(0, 0.1, (8, 500)) + np.arange(8)[:, None]
    assert luck(rows) == pytest.approx(0.1, rel=0.05)


def test_auto_is_told_against_the_best_single_predictor():
    names = [name for name in PREDICTORS if name != "stack"]
    values = {f"predictors/made/mean/32/{name}": 0.5 for name in names}
    values |= {"predictors/made/mean/32/kriging": 0.9, "predictors/made/mean/32/auto": 0.896}
    rows = {row.name: row for row in against_singles(values)}
    assert rows["predictors/auto/summaries/worst"].value == pytest.approx(-0.4)
    assert rows["predictors/auto/summaries/worst"].notes["best_single_there"] == "kriging"
    assert rows["predictors/auto/summaries/within-0.3"].value == 0
    assert rows["predictors/average/summaries/kriging"].value == pytest.approx(90)


@pytest.fixture(scope="module")
def texts() -> World:
    """Three domains of few tokens, and two targets of their own."""
    random = np.random.default_rng(0)
    pools = [random.integers(low, low + 300, 4000).astype(np.uint16) for low in (0, 300, 600)]
    held = {
        f"{split}/{target}": Evaluation(random.integers(low, low + 300, 300).astype(np.uint16), 900)
        for split in ("search", "final")
        for target, low in (("narrow", 0), ("broad", 200))
    }
    return World(pools, held, {"narrow": np.array([1.0, 0, 0]), "broad": np.array([0.4, 0.6, 0])})


TINY = Proxy(layers=1, width=8, heads=2, sequence=16, batch=2)


class Pretended:
    """In the place of training processes: losses that fall with tokens and with the weight of a target's domain."""

    def __init__(self, pools, evaluations, **rest):
        self.names = list(evaluations)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def train(self, trials, on_result):
        for trial in trials:
            weight = trial.schedule.weights[0] + 0.01 * np.random.default_rng(trial.seed).normal()
            losses = {name: Loss(4 - weight + trial.schedule.tokens**-0.3, 1.0) for name in self.names}
            on_result(Result(trial.key, losses, trial.schedule.tokens, 1.0))


@pytest.fixture(autouse=True)
def pretended(monkeypatch):
    monkeypatch.setattr(training, "ProcessTrainer", Pretended)


def test_real_searches_share_trainings_and_resume(texts, tmp_path):
    plan = Plan(trials=7, tokens=160, final_tokens=320, curve=(0.5, 1.0, 2.0), candidates=200, proxy=TINY, final=TINY)

    def run() -> dict[str, cells.Row]:
        bench = cells.Bench(tmp_path, tmp_path, 1, processes=1)
        return {row.name: row for row in searched(bench, texts, plan, 2, ("random", "regmix"))}

    first = run()
    journal = tmp_path / "real" / "trainings.jsonl"
    trained = journal.read_text(encoding="utf-8").count("\n")
    # Both strategies and targets share seven trials of each seed; then five rules and two found, and natural's curve.
    assert trained <= 2 * 7 + 2 * 2 * (5 + 2) + 2 * 2
    assert first["real/narrow/final/nearest"].notes["best_rule"] in (
        "natural",
        "uniform",
        "unimax",
        "entropy",
        "nearest",
    )
    assert first["real/narrow/speed-up/measured/natural"].value == pytest.approx(1.0)
    assert first["real/narrow/final/regmix"].notes["training_seconds"] == 7
    assert run() == first
    assert journal.read_text(encoding="utf-8").count("\n") == trained


def test_losses_by_topic_have_the_landscapes_mean_and_noise():
    landscape = all_landscapes()["noisy"]
    rows = np.tile(landscape.best, (4000, 1))
    apart = measured(landscape, rows, seed=1) @ landscape.needs - landscape.losses(rows)
    assert apart.mean() == pytest.approx(0, abs=0.01)
    assert apart.std() == pytest.approx(landscape.noise, rel=0.05)


@pytest.mark.parametrize("name", LAWS)
def test_laws_of_each_topic_end_ahead_of_equal_weights(name):
    for landscape in all_landscapes().values():
        if landscape.flat or len(landscape.phases) > 1:
            continue
        uniform = landscape.regret(np.full(landscape.num_buckets, 1 / landscape.num_buckets))
        assert by_topic(name, landscape, 32, 0) < uniform


def test_real_searches_are_of_every_strategy_and_rule():
    assert {*choice.STRATEGIES, *choice.RULES} - {"domain2vec"} == {*SEARCHES, *RULES}


def test_real_searches_with_cheap_trials_cost_no_more(texts, tmp_path):
    plan = Plan(trials=7, tokens=160, final_tokens=320, curve=(0.5, 1.0), candidates=200, proxy=TINY, final=TINY)
    bench = cells.Bench(tmp_path, tmp_path, 1, processes=1)
    list(searched(bench, texts, plan, 2, ("bayes-fidelity",)))
    for folder in (tmp_path / "real" / "searches").iterdir():
        tokens = [entry.trial.schedule.tokens for entry in read(folder / "journal.jsonl")]
        assert set(tokens) == {40, 160}
        assert sum(tokens) <= 7 * 160


def test_transfer_compares_every_proxy_with_the_large_run(texts, tmp_path, monkeypatch):
    monkeypatch.setattr(bench_transfer, "PROXIES", (("small", TINY, 160),))
    monkeypatch.setattr(bench_transfer, "LARGE", TINY)
    rows = {row.name: row for row in bench_transfer.transfer(cells.Bench(tmp_path, tmp_path, 1, 1), texts, 3)}
    assert rows["transfer/narrow/ceiling/pairs"].notes["tokens"] == 1600
    one = rows["transfer/broad/small/160/one/correlation"]
    assert (one.seeds, one.n, one.notes["share"]) == (3, 3, 0.1)
    assert rows["transfer/broad/small/160/mean-of-3/pairs"].notes["share"] == pytest.approx(0.3)


def test_the_domains_and_targets_are_told_apart(shared, tmp_path):
    made = domains.world(shared, tmp_path, max_documents=20)
    assert len(made.pools) == 12
    assert domains.DOMAINS[int(np.argmax(made.nearest["narrow"]))] in domains.NARROW
    assert all(shares.sum() == pytest.approx(1) for shares in made.nearest.values())
    assert made.data("search") != made.data("final")
    again = domains.world(shared, tmp_path, max_documents=20)
    assert (again.token_counts, again.data("final")) == (made.token_counts, made.data("final"))


def made_pool() -> Pool:
    weights = np.random.default_rng(0).dirichlet(np.ones(4), 120)
    weights[3] = weights[7]
    losses = ((weights - np.array([0.6, 0.2, 0.1, 0.1])) ** 2).sum(axis=1)
    return _without_repeats(
        Pool("made", weights, losses, np.full(4, 0.25), Target.of_counts(np.array([6.0, 2, 1, 1])), (32,))
    )


@pytest.mark.parametrize("name", ["bayes", "climb", "olmix", "random"])
def test_a_search_of_a_table_ends_with_one_of_its_rows(name):
    pool = made_pool()
    assert len(pool.weights) == 119
    chosen, tried = on_table(name, pool.weights, pool.losses, pool.shares, 32, 1)
    order = np.argsort(np.argsort(pool.losses))
    assert order[tried] < 20
    assert order[chosen] < (5 if name == "bayes" else 60)
    assert on_table(name, pool.weights, pool.losses, pool.shares, 32, 1) == (chosen, tried)


def test_rules_are_the_nearest_rows():
    pool = made_pool()
    assert _of_rule(pool, "nearest") < _of_rule(pool, "uniform")


def test_rounds_are_climbs_or_one():
    assert rounds_of(112, "climb") == (64, 32, 16)
    assert rounds_of(35, "bayes") == (20, 10, 5)
    assert rounds_of(32, "regmix") == (32,)


@pytest.mark.parametrize("way", ["bayes-fidelity", "bayes-target-only", "cheapest-only", "random-target"])
def test_a_budget_is_kept_to(way):
    pool = made_pool()
    bought = []

    class Counted(Shop):
        def buy(self, row, fidelity):
            bought.append(fidelity)
            return super().buy(row, fidelity)

    small, large = slice(60), slice(40)
    weights = {0.1: pool.weights[small], 1.0: pool.weights[large]}
    shop = Counted("made", weights, {0.1: pool.losses[small] + 1, 1.0: pool.losses[large]})
    regrets = spent(shop, way, 0)
    assert list(regrets) == ["2.0", "4.0", "8.0", "16.0"]
    assert all(regret >= 0 for regret in regrets.values())
    # What is recommended is looked up at the target's price, once for each budget.
    assert sum(bought) - 4 <= 16 + 1e-9
    if way == "bayes-target-only":
        assert min(bought) == 1.0


def test_the_public_tables_are_what_their_readme_says(shared):
    train, test = (public_tables.regmix(shared, part) for part in ("train-1m", "test-60m"))
    assert train.weights.shape == (512, 17)
    assert test.weights.shape == (256, 17)
    assert list(train.losses) == list(test.losses)
    assert len(train.losses) == 13
    assert np.allclose(train.weights.sum(axis=1), 1)
    assert public_tables.olmix(shared, "dclm").weights.shape == (127, 24)
    assert {name: len(runs.weights) for name, runs in public_tables.admire(shared).items()} == {
        "Qwen2.5-0.5B": 256, "Qwen2.5-3B": 128, "Qwen2.5-7B": 76
    }  # fmt: skip
