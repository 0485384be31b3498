"""A search that is killed, or that goes on at another place, ends as one that was not."""

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_searches import Killed, Planted, copied, folder_of, in_memory, searched, without_times

from mixer import journal, place, stages
from mixer import lineage as mixing
from mixer.proxies import trainers

KILLED_RUN = """
import os, signal, sys
sys.path[:] = {path!r}
import pytest
import made_searches
from pipelines.corpus import opened
from pipelines.store import Workspace
trainer = made_searches.Planted({after}, kill=lambda: os.kill(os.getpid(), signal.SIGKILL))
with pytest.MonkeyPatch.context() as patch:
    made_searches.searched(opened(Workspace({root!r})), trainer, patch, until="comparison")
"""


def num_trained(unbroken) -> int:
    """6 of the search with 4 rules, domain2vec, 6 of random; 6 mixtures x 2 seeds, or 5 (the one found a rule's)."""
    folders = (folder_of(unbroken, stage) for stage in (mixing.search, mixing.comparison))
    num = sum(len(journal.read(folder / "journal.jsonl")) for folder in folders)
    assert num in (13 + 10, 13 + 12)
    return num


@pytest.mark.parametrize("after", [random.randrange(12), 12 + random.randrange(10)], ids=["search", "comparison"])
def test_a_killed_run_goes_on_at_the_trial_where_it_was_killed(after, built, unbroken, tmp_path, monkeypatch):
    corpus = copied(built, tmp_path)
    path = [str(Path(__file__).parent), *sys.path]
    script = KILLED_RUN.format(path=path, after=after, root=corpus.workspace.root)
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    trainer = Planted()
    searched(corpus, trainer, monkeypatch, until="comparison")
    assert len(trainer.trained) == num_trained(unbroken) - after
    assert without_times(folder_of(corpus, mixing.search)) == without_times(folder_of(unbroken, mixing.search))
    for stage, name in ((mixing.mixture, "mixture.json"), (mixing.comparison, "result.json")):
        ours, theirs = folder_of(corpus, stage) / name, folder_of(unbroken, stage) / name
        assert ours.read_bytes() == theirs.read_bytes()


def test_a_killed_training_process_costs_nothing(built, tmp_path, monkeypatch):
    """Real trainings; `built` holds the same round unbroken, and training is deterministic."""
    corpus = copied(built, tmp_path)
    killed = []

    def kill_one(*_) -> None:
        (trainer,) = trainers._TRAINERS.values()
        if not killed:
            killed.append(trainer._workers[0]._process.pid)
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(place.Place, "keep", kill_one)
    try:
        report = stages.run_round(corpus, 1)
    finally:
        trainers.close_trainers()
    assert killed
    assert report.counts["trials"] == 4
    assert report.counts["failed"] == 0
    ours, theirs = (journal.read(folder_of(one, mixing.search) / "journal.jsonl") for one in (corpus, built))
    losses = {entry.result.key: entry.result.losses for entry in theirs}
    assert all(entry.result.losses == losses[entry.result.key] for entry in ours)


def test_one_trainer_serves_one_workspace_and_one_split(built, tmp_path):
    other = copied(built, tmp_path)  # the same content at another place
    try:
        ours = trainers.trainer_of(built, "search")
        assert trainers.trainer_of(built, "search") is ours
        theirs = trainers.trainer_of(other, "search")
        assert theirs is not ours
        assert all(str(other.workspace.root) in pool.path for pool in theirs._assignment.pools)
        assert trainers.trainer_of(other, "final") is not theirs
    finally:
        trainers.close_trainers()


def test_a_search_on_an_object_store_works_in_a_mirror_and_goes_on_elsewhere(built, unbroken, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    with in_memory(copied(built, tmp_path), "mixer-stages") as remote:
        with pytest.raises(Killed):
            searched(remote, Planted(9), monkeypatch, until="comparison")
        shutil.rmtree(tmp_path / "home")  # another machine
        trainer = Planted()
        searched(remote, trainer, monkeypatch, until="comparison")
        assert len(trainer.trained) == num_trained(unbroken) - 9
        assert stages.read_mixture(remote) == stages.read_mixture(unbroken)
        assert stages.read_comparison(remote) == stages.read_comparison(unbroken)
        assert "journal.jsonl" in remote.workspace.names(*mixing.search(remote).steps)


def test_two_copies_of_a_journal_become_one():
    assert place.merged(b"a\nb\n", b"a\nc\n") == b"a\nb\nc\n"
    assert place.merged(b"a\n{torn", b"a\nb\n") == b"a\nb\n"
    assert place.merged(b"", b"a\n") == place.merged(b"a\n", b"") == b"a\n"
