"""The mixture benchmark's own counting; nothing is timed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "infra" / "benchmarks" / "mixer"))
import cells
import public_tables
from bench_fidelity import Shop, spent
from bench_search import Pool, _of_rule, _without_repeats
from simulation import on_table, rounds_of

from mixer.strategy import Target


def test_cells_are_made_once_and_a_torn_one_again(tmp_path):
    made = []

    def work(seed: int) -> int:
        made.append(seed)
        return seed * 10

    assert cells.Bench(tmp_path, tmp_path, 2).over_seeds("a", work) == [0, 10]
    assert cells.Bench(tmp_path, tmp_path, 3).over_seeds("a", work) == [0, 10, 20]
    assert made == [0, 1, 2]
    path = tmp_path / "mixer-cells.jsonl"
    path.write_text(path.read_text()[:-4], encoding="utf-8")
    assert cells.Bench(tmp_path, tmp_path, 3).over_seeds("a", work) == [0, 10, 20]
    assert made == [0, 1, 2, 2]
    # Another text of the code is another figure.
    text = path.read_text(encoding="utf-8").replace("@", "@0")
    path.write_text(text, encoding="utf-8")
    cells.Bench(tmp_path, tmp_path, 1).over_seeds("a", work)
    assert made == [0, 1, 2, 2, 0]


def test_rows_take_the_place_of_their_namesakes(tmp_path):
    cells.merged(tmp_path / "out.json", [cells.Row.of("a", [1.0, 3.0], "x", 5), cells.Row.of("b", [1.0], "x", 5)], "1")
    cells.merged(tmp_path / "out.json", [cells.Row.of("a", [4.0], "x", 5)], "2")
    told = {row["name"]: row for row in json.loads((tmp_path / "out.json").read_text())}
    assert (told["a"]["value"], told["a"]["spread"], told["a"]["date"]) == (4.0, None, "2")
    assert (told["b"]["seeds"], told["b"]["date"]) == (1, "1")


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
