"""The plan of a search: its trainings are those that a search really makes, and its times follow from the speed."""

import json
import math
from dataclasses import replace
from pathlib import Path

import made_corpus
import pytest
from made_searches import Killed, Planted, copied, searched
from typer.testing import CliRunner

from mixer import journal, plan, resuming
from mixer import lineage as mixing
from mixer.command import mix, planning  # noqa: F401  planning adds to mix
from mixer.console import leaders_table
from mixer.place import reading
from mixer.plan import Speed, Work, works
from mixer.report import cost
from mixer.report.gathered import gathered
from mixer.report.headline import headline
from mixer.report.page import html
from mixer.stages import leaders, read_mixture
from pipelines import configuration
from pipelines.corpus import keep
from pipelines.search_settings import Proxy, Search

SPEED = Speed(start_seconds=5.0, fixed_seconds=1.0, token_seconds=1e-3, workers=2, peak_bytes=0)


def test_a_plan_counts_what_the_search_trains(built) -> None:
    told, used = plan.planned(built, SPEED), plan.used(built)
    search, kinds = built.settings.search, told["kinds"]
    for kind in ("search", "baselines"):
        assert kinds[kind]["num"] == used[kind]["num"], kind
        assert kinds[kind]["tokens"] == used[kind]["tokens"], kind
    found = read_mixture(built)
    mixtures = [found["weights"], *(found["others"][name] for name in search.final_mixtures)]
    assert kinds["comparison"]["num"] == search.final_seeds * len(mixtures)
    # What is found may be one of the others: then it is the same training.
    assert used["comparison"]["num"] == search.final_seeds * len({tuple(row) for row in mixtures})
    assert used["comparison"]["tokens"] == used["comparison"]["num"] * kinds["comparison"]["tokens_each"]
    assert min(one["seconds"] for one in used.values()) > 0
    assert told["together"]["num"] == sum(one["num"] for one in told["kinds"].values())
    lines = [
        len(line)
        for stage in (mixing.search(built), mixing.comparison(built))
        for line in (built.workspace.local(*stage.steps) / "journal.jsonl").read_bytes().splitlines()
    ]
    assert sum(lines) < told["disk_bytes"] == pytest.approx(plan.left(built), rel=0.25)
    assert told["checkpoint_bytes"] == 0  # trainings of a few seconds write none
    for kind in ("search", "baselines"):
        assert used[kind]["flops"] == kinds[kind]["flops"]


@pytest.mark.parametrize(
    "changes",
    [
        ("search.strategy=climb", "search.rounds=[4, 3, 2]"),
        ("search.final_mixtures=['natural']", "search.rounds=[8, 3]"),
        ("search.seeds=2",),
        ("search.strategy=nearest",),
        ("search.strategy=random", "search.rounds=[3, 3]"),
        ("search.strategy=olmix", "search.rounds=[12, 3]"),
        ("search.phases=[0.6, 0.4]", "search.rounds=[6, 2]"),
    ],
)
def test_a_plan_counts_what_searches_of_all_kinds_train(
    changes: tuple[str, ...], built, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = made_corpus.changed(copied(built, tmp_path), *changes)
    before = plan.planned(corpus, None)["kinds"]
    searched(corpus, Planted(), monkeypatch)
    used = plan.used(corpus)
    for kind in ("search", "baselines"):
        assert before[kind]["num"] == used[kind]["num"], kind
    assert plan.planned(corpus, None)["kinds"] == before  # whatever is there already


def test_what_a_process_took_is_kept_and_told(built) -> None:
    used = plan.used(built)
    assert min(one["process_bytes"] for one in used.values()) > 50e6  # torch alone is more
    peak = max(one["process_bytes"] for one in used.values())
    told = {**gathered(built), "plan": None}
    assert cost.plan(told) == ""
    planned = json.loads(json.dumps(plan.planned(built, replace(SPEED, peak_bytes=peak))))
    told["plan"] = {"planned": planned, "used": used, "left_bytes": plan.left(built)}
    page = cost.plan(told)
    for said in ("search, trainings", "comparison, work", "memory of a process", "disk, without checkpoints"):
        assert said in page
    memory = page.partition("memory of a process")[2].partition("</tr>")[0]
    assert memory.endswith("1.00</td>")
    assert "rules and random, trainings" in page
    planned["speed"] = None
    assert "memory" not in cost.plan(told)


def test_flops_are_those_of_the_proxy(built) -> None:
    told = plan.planned(built, None)
    assert told["together"]["seconds"] is None
    assert told["together"]["flops"] == told["together"]["tokens"] * told["flops_per_token"]


def test_rounds_wait_for_their_last_training() -> None:
    work = Work("search", (5, 2, 1), 1000)
    assert work.seconds(SPEED) == (3 + 1 + 1) * 2.0
    assert work.seconds(replace(SPEED, workers=8)) == 3 * 2.0


@pytest.mark.parametrize("rounds", [(24, 12, 6), (1,), (8, 8)])
def test_random_search_shares_the_first_round(rounds: tuple[int, ...]) -> None:
    listed = works(Search(rounds=rounds, final_seeds=2), Proxy(), rounds, 4, sum(rounds[1:]))
    asked = {work.kind: work for work in listed}
    assert asked["baselines"].num == 4 + sum(rounds[1:])
    assert asked["search"].num == sum(rounds)
    assert asked["comparison"].num == 2 * 6
    assert asked["search"].tokens % (128 * 4) == 0


def test_every_seed_of_a_trial_is_counted_wherever_trials_are(built, tmp_path: Path, monkeypatch) -> None:
    search = built.settings.search.model_copy(update={"strategy": "climb", "seeds": 2, "final_mixtures": ("natural",)})
    corpus = copied(built, tmp_path)
    corpus = replace(corpus, settings=corpus.settings.model_copy(update={"search": search}))
    keep(corpus.workspace, configuration.dumped(corpus.settings))
    with pytest.raises(Killed):
        searched(corpus, Planted(kill_after=9), monkeypatch)
    (found,) = resuming.searches(corpus)
    assert (found.done, found.asked, found.state) == (9, 12, "9 of 12 trials")
    told = gathered(corpus)
    assert [(trial["round"], trial["index"]) for trial in told["trials"]] == [(1, 0), (1, 1), (1, 2), (1, 3)]
    with reading(mixing.search(corpus)) as folder:
        entries = journal.read(folder / "journal.jsonl")
    losses = [entry.result.losses["search/stars"].nats for entry in entries if entry.trial.index == 2]
    assert len(losses) == 2
    assert told["trials"][2]["loss"] == pytest.approx(sum(losses) / 2)
    assert "9 proxies are trained" in headline(told)
    searched(corpus, Planted(), monkeypatch)
    plans, used = plan.planned(corpus, SPEED)["kinds"], plan.used(corpus)
    rules = read_mixture(corpus)["others"]
    assert "random" not in rules  # which nobody compares with here, so that its further runs are not trained
    for kind, num in (("search", 12), ("baselines", 2 * len(rules))):
        assert plans[kind]["num"] == used[kind]["num"] == num
    shown = leaders_table(leaders(corpus, 3), read_mixture(corpus)["clusters"])
    assert shown.title == "Leaderboard, means of 2 seeds"
    assert "Means of 2 seeds each." in html(gathered(corpus))


def test_the_command_measures_and_keeps_what_it_found(built, tmp_path: Path) -> None:
    corpus = copied(built, tmp_path, keep=("search",))
    folder = corpus.workspace.local(*mixing.search(corpus).steps)
    before = journal.read(folder / "journal.jsonl")
    run = CliRunner().invoke(mix.app, ["plan", "-w", corpus.workspace.root, "--json"])
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    speed = told["speed"]
    assert speed["token_seconds"] > 0
    assert speed["peak_bytes"] > 50e6  # torch alone is more
    assert all(math.isfinite(one["seconds"]) and one["seconds"] > 0 for one in told["kinds"].values())
    assert journal.read(folder / "journal.jsonl") == before  # a probe leaves no trials
    again = CliRunner().invoke(mix.app, ["plan", "-w", corpus.workspace.root, "--json", "--no-probe"])
    assert json.loads(again.stdout)["kinds"] == told["kinds"]
    shown = CliRunner().invoke(mix.app, ["plan", "-w", corpus.workspace.root, "--no-probe"])
    assert "plan / took" in shown.stdout.replace("\n", " ")
