"""Trials of earlier searches: which are taken over, and why others are not."""

import math
from dataclasses import replace
from pathlib import Path

import made_corpus
import pytest
from made_searches import Planted, copied, folder_of, searched, without_times

from mixer import journal, plan, takeover
from mixer import lineage as mixing
from mixer.differences import differences
from mixer.journal import Entry
from mixer.report.gathered import gathered
from mixer.report.page import html
from mixer.takeover import Past, Reusing, Sought, obstacles, usable
from mixer.trial import Loss, Result, Schedule, Trial
from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.search_settings import Proxy
from pipelines.store import Workspace

PROXY = Proxy(layers=1, width=16, heads=2)
SOUGHT = Sought(PROXY, 1, "pools-targets-search", ("search/a",), seeds=2)


def entry(share: float = 0.5, *, names: tuple[str, ...] = ("search/a", "search/b"), **given: object) -> Entry:
    values = {"proxy": PROXY, "seed": 1, "data": SOUGHT.data, **given}
    trial = Trial(Schedule.static((share, 1 - share), 100), round=1, index=0, **values)  # type: ignore[arg-type]
    return Entry(trial, Result(trial.key, {name: Loss(share, 1.0) for name in names}, 100, 1.0))


@pytest.mark.parametrize(
    ("past", "found"),
    [
        (entry(), []),
        (entry(names=("search/a",)), []),
        (entry(names=("search/b",)), ["losses"]),
        (entry(seed=3), ["seed"]),
        (entry(seed=0), ["seed"]),
        (entry(seed=2), []),  # of a candidate's second seed
        (entry(proxy=PROXY.model_copy(update={"width": 32})), ["proxy"]),
        (entry(data="others-targets-search"), ["pools"]),
        (entry(data="pools-others-search"), ["targets"]),
        (entry(data="pools-targets-abcd-search"), ["programs"]),
        (entry(data="pools-targets-final"), ["programs"]),
        (entry(data="something else"), ["pools", "targets", "programs"]),
        (Entry(entry().trial, replace(entry().result, key="0" * 32)), ["version"]),
        (Entry(entry().trial, Result(entry().trial.key, {}, 0, 0.0, error="out of memory")), ["failed"]),
        (
            Entry(entry().trial, Result(entry().trial.key, {"search/a": Loss(math.nan, 1.0)}, 0, 0.0)),
            ["failed"],
        ),
    ],
)
def test_a_trial_is_taken_only_where_all_that_it_depends_on_is_the_same(past: Entry, found: list[str]) -> None:
    assert obstacles(past, SOUGHT) == found
    assert bool(usable([Past("search/x/1", (past,))], SOUGHT)) == (not found)


def test_of_two_searches_with_a_trial_the_first_by_label_gives_it() -> None:
    ours, theirs = entry(), entry()
    theirs = Entry(theirs.trial, replace(theirs.result, seconds=9.0))
    pasts = [Past("search/y/1", (theirs, entry(0.3))), Past("search/x/2", (ours,))]
    found = usable(pasts, SOUGHT)
    assert found == usable(pasts[::-1], SOUGHT)
    assert found[ours.trial.key] == ("search/x/2", ours.result)
    assert len(found) == 2


def test_only_what_is_unknown_is_trained() -> None:
    trials = [entry(share).trial for share in (0.1, 0.2, 0.3)]
    known = {trials[1].key: entry(0.2).result}
    results: list[Result] = []
    trainer = Planted()
    reusing = Reusing(trainer, known)
    reusing.train(trials, results.append)
    assert trainer.trained == [trials[0].key, trials[2].key]
    assert sorted(result.key for result in results) == sorted(trial.key for trial in trials)
    Reusing(Planted(0), known).train(trials[1:2], results.append)  # nothing is left: no trainer is asked
    reusing.train(trials, results.append)  # nor again
    assert (reusing.num_trained, len(trainer.trained), len(results)) == (2, 2, 7)


def test_what_failed_is_not_known() -> None:
    trainer = Planted(fails=lambda trial: True)
    reusing = Reusing(trainer, {})
    for _ in range(2):
        reusing.train([entry().trial], lambda result: None)
    assert reusing.num_trained == len(trainer.trained) == 2


# ---------------------------------------------------------------------------------------------------------
# In a workspace


@pytest.fixture
def first(built: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corpus:
    """A workspace with one finished search, of 13 trials."""
    corpus = copied(built, tmp_path)
    trainer = Planted()
    searched(corpus, trainer, monkeypatch)
    assert len(trainer.trained) == 13
    assert takeover.told(corpus) == takeover.taken(corpus) == []
    return corpus


def test_the_same_search_under_another_name_trains_nothing(first: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    again = made_corpus.changed(first, "search.name=again")
    label = mixing.search(first).label
    assert takeover.told(again) == [f"{label}: 13 of 13 trials fit; those that this search asks for are taken over"]
    searched(again, Planted(0), monkeypatch)
    assert without_times(folder_of(again, mixing.search)) == without_times(folder_of(first, mixing.search))
    assert takeover.taken(again) == [f"13 of 13 trials are those of {label}, not trained again"]
    assert takeover.taken(first) == []  # whose trials they are, though both journals hold them


def test_what_was_taken_over_costs_nothing_and_is_told(first: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    before = gathered(first)
    assert {part["num_taken"] for part in before["cost"].values()} == {0}
    assert "taken over" not in html(before)
    longer = made_corpus.changed(first, "search.rounds=[6, 3]")
    trainer = Planted()
    searched(longer, trainer, monkeypatch)
    told, used, asked = gathered(longer), plan.used(longer), plan.planned(longer, None)
    entries = journal.read(folder_of(longer, mixing.search) / "journal.jsonl")
    num_taken = len(entries) - len(trainer.trained)
    parts = told["cost"].values()
    assert sum(part["num_runs"] for part in parts) == len(trainer.trained)
    assert sum(part["num_taken"] for part in parts) == num_taken
    tokens = sum(entry.trial.schedule.tokens for entry in entries if entry.trial.key in trainer.trained)
    assert sum(part["tokens"] for part in parts) == sum(one["tokens"] for one in used.values()) == tokens
    assert sum(part["flops"] for part in parts) == tokens * asked["flops_per_token"]
    assert sum(part["seconds"] for part in parts) == pytest.approx(0.1 * len(trainer.trained))
    for kind in ("search", "baselines"):
        assert used[kind]["num"] + used[kind]["taken"] == asked["kinds"][kind]["num"]
    assert sum(one["taken"] for one in used.values()) == num_taken
    page = html({**told, "plan": {"planned": asked, "used": used, "left_bytes": plan.left(longer)}})
    assert f"for search, rules and random; {num_taken} taken over" in page
    assert "search, taken over" in page
    assert '<th class="n">taken over</th>' in page
    report = longer.workspace.read_json(*mixing.search(longer).steps, "report.json")["cost"]
    assert {name: report["auto"][name] for name in ("num_runs", "num_taken", "tokens")} == {
        name: told["cost"]["auto"][name] for name in ("num_runs", "num_taken", "tokens")
    }
    third = made_corpus.changed(longer, "search.name=third")
    searched(third, Planted(0), monkeypatch)
    assert plan.used(third)["search"]["num"] == gathered(third)["cost"]["auto"]["seconds"] == 0


def test_a_longer_search_trains_the_difference_beside_a_torn_journal(
    first: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder_of(first, mixing.search) / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole.splitlines()[0][:200])  # as it lies while another process writes
    longer = made_corpus.changed(first, "search.rounds=[6, 3]")
    trainer = Planted()
    searched(longer, trainer, monkeypatch)
    trials = journal.read(folder_of(longer, mixing.search) / "journal.jsonl")
    known = {one.trial.key for one in journal.read(path)}
    shared = sum(one.trial.key in known for one in trials)
    assert shared >= 4  # the rules at least
    assert len(trainer.trained) == len(trials) - shared
    assert not known & set(trainer.trained)
    assert takeover.taken(longer) == [
        f"{shared} of {len(trials)} trials are those of {mixing.search(first).label}, not trained again"
    ]
    assert path.read_bytes().startswith(whole)  # nobody has mended it


def test_a_damaged_journal_of_another_search_costs_only_its_trials(
    first: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = folder_of(first, mixing.search) / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"garbage\n", *lines[1:]]))
    again = made_corpus.changed(first, "search.name=again")
    [line] = takeover.told(again)
    assert "not looked at, since" in line
    assert "line 2 of 14 cannot be read" in line
    trainer = Planted()
    searched(again, trainer, monkeypatch)
    assert len(trainer.trained) == 13


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (("proxy.width=32", "proxy.layers=2"), "another proxy (layers was 1, is 2, width was 16, is 32)"),
        (("search.tokens=3000",), "trained on 4,000 tokens (search.tokens is 3,000)"),
        (("search.seed=7",), "another seed (search.seed was 42, is 7)"),
        (("search.trainer=['true']",), "another trainer or evaluator (search.trainer, search.evaluator)"),
        (("search.objectives={'cluster/0'=1}",), "no loss search/cluster/000 in them"),
    ],
)
def test_why_nothing_fits(first: Corpus, changes: tuple[str, ...], reason: str) -> None:
    label = mixing.search(first).label
    other = made_corpus.changed(first, *changes)
    assert takeover.told(other) == [f"{label}: none of 13 trials fits: {reason}"]


def test_other_clusters_are_told_by_the_setting_that_made_them(first: Corpus) -> None:
    fewer = made_corpus.changed(first, "clusters.k=3")
    made_corpus.run_corpus(fewer)
    [line] = takeover.told(fewer)
    assert line.endswith("none of 13 trials fits: other pools (clusters.k was 4, is 3)")
    assert differences(fewer.workspace, lineage.pools(fewer).label, lineage.pools(fewer).label) == []
    first.workspace.delete(*lineage.pools(first).steps)
    assert "other pools (theirs are no longer in pools/)" in takeover.told(fewer)[0]


def test_a_setting_that_is_new_is_told_with_its_value_and_a_known_crawl_is_not_called_new(tmp_path: Path) -> None:
    workspace = Workspace(str(tmp_path))
    shared = {"stage": "pools", "version": 1, "libraries": {}}
    before = {"settings": {}, "inputs": {"tokens/old/1": "t"}}
    now = {
        "settings": {"tiers": [0.5, 0.9], "files": {"a": "0" * 32}, "model": "0" * 32},
        "inputs": {"tokens/old/1": "t", "signals/old/1": "s", "tokens/newer/1": "n"},
    }
    workspace.write_json({**shared, **before}, "pools", "1", "manifest.json")
    workspace.write_json({**shared, **now}, "pools", "2", "manifest.json")
    told = ["pools.files is %s", "pools.model is %s", "pools.tiers = [0.5, 0.9] is %s"]
    new = [*(line % "new" for line in told), "signals of crawl old is read too", "crawl newer is new"]
    gone = [*(line % "gone" for line in told), "signals of crawl old is read no longer", "crawl newer is gone"]
    assert differences(workspace, "pools/1", "pools/2") == new
    assert differences(workspace, "pools/2", "pools/1") == gone


def test_a_target_more_is_told(first: Corpus, tmp_path: Path) -> None:
    stars = next(target for target in first.settings.targets if target.name == "stars")
    entries = [{"name": one.name, "path": one.path} for one in first.settings.targets]
    listed = ", ".join(f'{{name="{one["name"]}", path="{one["path"]}"}}' for one in entries)
    more = made_corpus.changed(first, f'targets=[{listed}, {{name="more", path="{stars.path}"}}]')
    made_corpus.run_corpus(more)
    [line] = takeover.told(more)
    assert "other targets (" in line
    assert "targets.files.more is new" in line
