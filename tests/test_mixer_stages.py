"""The mixer's stages on a small built corpus: everything resumes, and what is wrong is said before hours are spent."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import fsspec
import made_corpus
import numpy as np
import polars as pl
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from mixer import draw, journal, place, result, searches, shuffle, stages, trainers
from mixer import lineage as mixing
from mixer.command import mix
from mixer.evaluate import evaluate, windows
from mixer.job import planned
from mixer.model import to_transformers
from mixer.runs import loss_on, measured
from mixer.tables import read_tables
from mixer.train import train_model
from mixer.trial import Loss, Result, Schedule, Trial
from mixer.verify import verify
from pipelines import lineage
from pipelines.corpus import Corpus, opened
from pipelines.errors import SettingsError, StoreError, TrialError
from pipelines.pooling import open_pool
from pipelines.store import Workspace

MIXER_STAGES = ("search", "mixture", "comparison", "dataset")


class Killed(BaseException):
    """Stands for a kill."""


class Planted:
    """Answers at once: the further from a planted mixture the worse, plus noise that follows from the trial."""

    def __init__(self, kill_after: int = -1, fails=lambda trial: False, kill=None) -> None:
        self.kill_after, self.fails, self.trained = kill_after, fails, []
        self.kill = kill or self._raise

    def train(self, trials, on_result) -> None:
        for trial in trials:
            if len(self.trained) == self.kill_after:
                self.kill()
            self.trained.append(trial.key)
            on_result(self.result(trial))

    def result(self, trial: Trial) -> Result:
        if self.fails(trial):
            return Result(trial.key, {}, 0, 0.1, error="out of memory")
        weights = np.array(trial.schedule.weights)
        noise = np.random.default_rng(int(trial.key, 16)).normal(0, 0.01)
        loss = 4 + float(((weights - np.eye(len(weights))[0]) ** 2).sum()) + noise
        names = [f"{split}/{target}" for split in ("search", "final") for target in ("stars", "mixed")]
        return Result(trial.key, {name: Loss(loss, loss / 3) for name in names}, trial.schedule.tokens, 0.1)

    def _raise(self) -> None:
        raise Killed


def copied(corpus: Corpus, folder: Path, *, keep: tuple[str, ...] = ()) -> Corpus:
    """The workspace again, without the mixer's stages but those to be kept."""
    root = Path(corpus.workspace.root)
    gone = [name for name in MIXER_STAGES if name not in keep]
    shutil.copytree(root, folder / "ws", symlinks=True, ignore=shutil.ignore_patterns(*gone))
    return opened(Workspace(str(folder / "ws")))


def searched(corpus: Corpus, trainer, monkeypatch, *, until: str = "mixture") -> None:
    """The rounds and what comes after, with a trainer that costs nothing."""
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: trainer)
    for step, arguments in planned(corpus):
        if step.module == "mixer.stages":
            step.run(corpus, *arguments)
            if step.name == until:
                return


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Everything below a folder but leases."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lease"
    }


def folder_of(corpus: Corpus, stage) -> Path:
    return corpus.workspace.local(*stage(corpus).steps)


def without_times(folder: Path) -> dict[str, bytes]:
    """What a search leaves that is the same whatever happened to it on the way."""
    wanted = ("candidates/", "fits/", "recommendation.json")
    return {name: data for name, data in bytes_of(folder).items() if name.startswith(wanted)}


@pytest.fixture(scope="module")
def unbroken(built, tmp_path_factory):
    """The rounds, the mixture and the comparison with the planted trainer, run in one go."""
    with pytest.MonkeyPatch.context() as patch:
        corpus = copied(built, tmp_path_factory.mktemp("unbroken"))
        searched(corpus, Planted(), patch, until="comparison")
    return corpus


# ---------------------------------------------------------------------------------------------------------
# The search


KILLED_RUN = """
import os, signal, sys
sys.path[:] = {path!r}
import pytest
import test_mixer_stages as tests
from pipelines.corpus import opened
from pipelines.store import Workspace
trainer = tests.Planted({after}, kill=lambda: os.kill(os.getpid(), signal.SIGKILL))
with pytest.MonkeyPatch.context() as patch:
    tests.searched(opened(Workspace({root!r})), trainer, patch, until="comparison")
"""


@pytest.mark.parametrize("after", [random.randrange(12), 12 + random.randrange(10)])  # in the search; after it
def test_a_killed_run_goes_on_at_the_trial_where_it_was_killed(after, built, unbroken, tmp_path, monkeypatch):
    corpus = copied(built, tmp_path)
    path = [str(Path(__file__).parent), *sys.path]
    script = KILLED_RUN.format(path=path, after=after, root=corpus.workspace.root)
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    trainer = Planted()
    searched(corpus, trainer, monkeypatch, until="comparison")
    assert len(trainer.trained) == 12 + 12 - after  # 6 of the search, 4 rules, 2 of random; 6 mixtures x 2 seeds
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


def test_counts_are_of_the_round_and_what_was_there_is_reused(unbroken, tmp_path, monkeypatch):
    corpus = copied(unbroken, tmp_path, keep=("search",))
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: Planted(0))  # killed if it is asked for anything
    second = stages.run_round(corpus, 2)
    assert (second.parts, second.reused, second.counts["trials"]) == (2, 2, 2)
    entries = journal.read(folder_of(corpus, mixing.search) / "journal.jsonl")
    losses = [measured(entry.result, loss_on("search/stars")) for entry in entries if entry.trial.round == 2]
    assert second.counts["best_loss"] == min(losses)
    assert second.content == stages.run_round(corpus, 2).content != stages.run_round(corpus, 1).content
    mixture = stages.run_mixture(corpus)
    assert mixture.content == mixing.mixture(unbroken).finished()["content"]


def test_failed_trials_are_journalled_and_counted(built, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(built, tmp_path), "search.max_failed=0.3")
    failing = Planted(fails=lambda trial: trial.round == 1 and trial.index == 2)
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: failing)
    report = stages.run_round(corpus, 1)
    assert (report.counts["trials"], report.counts["failed"]) == (4, 1)
    assert stages.run_predictor(corpus, 1).counts["runs"] == 3
    assert stages.run_round(corpus, 2).counts["failed"] == 0
    assert len(failing.trained) == 6  # the failed one stays failed


def test_too_many_failures_stop_a_round_and_running_again_trains_them_again(built, unbroken, tmp_path, monkeypatch):
    corpus = copied(built, tmp_path)
    with pytest.raises(TrialError, match=r"out of memory.*running again"):
        searched(corpus, Planted(fails=lambda trial: trial.index == 2), monkeypatch)
    searched(corpus, Planted(), monkeypatch)
    assert stages.read_mixture(corpus) == stages.read_mixture(unbroken)


def test_the_mixture_without_a_search_trains_nothing(built, tmp_path, monkeypatch):
    corpus = copied(built, tmp_path)
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: Planted(0))
    with pytest.raises(StoreError, match="sirdar mix search"):
        stages.run_mixture(corpus)
    with pytest.raises(StoreError, match="sirdar mix mixture"):
        mixing.comparison(corpus)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("search.final_mixtures=['natural', 'nearst']", "nearst to compare with; name some of entropy, natural"),
        ("search.final_mixtures=[]", "nothing to compare with"),
    ],
)
def test_an_unknown_mixture_ends_the_comparison_before_it_trains(change, told, unbroken, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(unbroken, tmp_path, keep=("search", "mixture")), change)
    monkeypatch.setattr(stages, "trainer_of", lambda corpus, split: Planted(0))
    with pytest.raises(SettingsError, match=told):
        stages.run_comparison(corpus)


def test_a_dataset_larger_than_the_crawls_is_refused_before_training(built, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(built, tmp_path), "dataset.tokens=300000")
    with pytest.raises(SettingsError, match=r"dataset\.tokens = 300,000.*51,877.*lower dataset\.tokens"):
        searched(corpus, Planted(0), monkeypatch)


def test_a_target_outside_all_clusters_is_refused_before_training(built, tmp_path, monkeypatch):
    corpus = copied(built, tmp_path)
    monkeypatch.setattr(searches, "read_evaluations", lambda corpus: (None, {"stars": [0, 0, 0, 0]}))
    with pytest.raises(SettingsError, match="target 'stars'"):
        searched(corpus, Planted(0), monkeypatch)


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


def test_settings_of_the_end_alone_do_not_start_another_search(built):
    label = mixing.search(built).label

    def with_search(**changes):
        settings = built.settings.model_copy(update={"search": built.settings.search.model_copy(update=changes)})
        return mixing.search(replace(built, settings=settings)).label

    assert with_search(final_seeds=9, final_tokens=7, final_mixtures=("natural",), max_failed=0.9) == label
    assert with_search(objective="stars") == label  # the first target is the objective by itself
    assert with_search(objective="mixed") != label
    assert with_search(tokens=9) != label


def test_the_proxy_is_part_of_the_comparison(built):
    proxy = built.settings.proxy.model_copy(update={"learning_rate": 1e-3})
    changed = replace(built, settings=built.settings.model_copy(update={"proxy": proxy}))
    with pytest.raises(StoreError):
        mixing.comparison(changed)  # it has no mixture yet, so no address either
    content = mixing.mixture(built).finished()["content"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixing, "mixture", lambda corpus: _Finished(content))
        assert mixing.comparison(changed).label != mixing.comparison(built).label


class _Finished:
    def __init__(self, content: str) -> None:
        self.content = content
        self.recipe = lineage.Recipe("mixture", 1)

    def finished(self):
        return {"content": self.content}

    manifest = finished


def test_with_one_seed_the_result_can_still_be_told(unbroken, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(unbroken, tmp_path, keep=("search", "mixture")), "search.final_seeds=1")
    searched(corpus, Planted(), monkeypatch, until="dataset")
    screen = StringIO()
    result.say(corpus, Console(file=screen, width=200))
    assert "no difference shown, since 1 paired runs do not show their noise" in screen.getvalue()


# ---------------------------------------------------------------------------------------------------------
# On an object store


def test_a_search_on_an_object_store_works_in_a_mirror_and_goes_on_elsewhere(built, unbroken, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / ".cache"))
    store = fsspec.filesystem("memory")
    plain = copied(built, tmp_path)
    for name, data in bytes_of(Path(plain.workspace.root)).items():
        if not name.startswith("models/"):
            store.pipe(f"/mixer-stages/{name}", data)
    remote = opened(Workspace("memory://mixer-stages"))
    try:
        with pytest.raises(Killed):
            searched(remote, Planted(9), monkeypatch, until="comparison")
        shutil.rmtree(tmp_path / "home")  # another machine
        trainer = Planted()
        searched(remote, trainer, monkeypatch, until="comparison")
        assert len(trainer.trained) == 24 - 9
        assert stages.read_mixture(remote) == stages.read_mixture(unbroken)
        assert stages.read_comparison(remote) == stages.read_comparison(unbroken)
        assert "journal.jsonl" in remote.workspace.names(*mixing.search(remote).steps)
    finally:
        store.rm("/mixer-stages", recursive=True)


def test_two_copies_of_a_journal_become_one():
    assert place.merged(b"a\nb\n", b"a\nc\n") == b"a\nb\nc\n"
    assert place.merged(b"a\n{torn", b"a\nb\n") == b"a\nb\n"
    assert place.merged(b"", b"a\n") == place.merged(b"a\n", b"") == b"a\n"


# ---------------------------------------------------------------------------------------------------------
# The dataset


KILLED_EXPORT = """
import os, signal, sys
sys.path[:] = {path!r}
from mixer import shuffle
from mixer.stages import run_dataset
from pipelines.corpus import opened
from pipelines.store import Workspace
write, count = shuffle._write_shard, [0]
def killed(*arguments):
    if count[0] == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    count[0] += 1
    write(*arguments)
shuffle._write_shard = killed
run_dataset(opened(Workspace({root!r})))
"""
FINISHED = ("search", "mixture", "comparison")


def test_an_export_killed_between_two_shards_ends_the_same(built, tmp_path):
    corpus = copied(built, tmp_path, keep=FINISHED)
    script = KILLED_EXPORT.format(path=sys.path, after=3, root=corpus.workspace.root)
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder = folder_of(corpus, mixing.dataset)
    assert not (folder / "manifest.json").exists()
    report = stages.run_dataset(corpus)
    assert report.reused == 3
    assert bytes_of(folder) == bytes_of(folder_of(built, mixing.dataset))
    assert verify(folder) == []


def test_an_export_killed_before_it_had_tidied_up_is_tidied_by_the_next(built, tmp_path):
    corpus = copied(built, tmp_path, keep=(*FINISHED, "dataset"))
    folder = folder_of(corpus, mixing.dataset)
    (folder / "_making").mkdir()
    (folder / "_making" / "0.json").write_text("[]")
    assert verify(folder)
    report = stages.run_dataset(corpus)
    assert report.reused == report.parts
    assert verify(folder) == []


def test_memory_and_workers_change_no_byte(built, tmp_path, monkeypatch):
    corpus = made_corpus.changed(copied(built, tmp_path, keep=FINISHED), "engine.memory_bytes=1", "engine.workers=2")
    passes = []
    once = shuffle._shuffle
    monkeypatch.setattr(shuffle, "_shuffle", lambda *given: passes.append(len(given[-1])) or once(*given))
    stages.run_dataset(corpus)
    assert passes == [1] * 8  # a shard each, where `built` needed one pass
    assert bytes_of(folder_of(corpus, mixing.dataset)) == bytes_of(folder_of(built, mixing.dataset))


@pytest.fixture(scope="module", params=["parquet", "clusters", "nanochat"])
def exported(request, built, tmp_path_factory):
    """(layout, folder, manifest) of the same mixture in each layout."""
    if request.param == "parquet":
        corpus = built
    else:
        plain = copied(built, tmp_path_factory.mktemp(request.param), keep=FINISHED)
        corpus = made_corpus.changed(plain, f"dataset.format={request.param!r}")
        stages.run_dataset(corpus)
    folder = folder_of(corpus, mixing.dataset)
    return request.param, folder, json.loads((folder / "manifest.json").read_bytes())


def test_every_layout_is_as_its_manifest_says_and_holds_the_same_draws(exported, built):
    _, folder, manifest = exported
    assert verify(folder) == []
    theirs = json.loads((folder_of(built, mixing.dataset) / "manifest.json").read_bytes())
    assert manifest["clusters"] == theirs["clusters"]
    for split in ("train", "validation"):
        ours = [manifest["splits"][split][key] for key in ("rows", "tokens")]
        assert ours == [theirs["splits"][split][key] for key in ("rows", "tokens")]
    for before, after in zip(manifest["funnel"], manifest["funnel"][1:], strict=False):
        assert after["read"] == before["kept"] or before["stage"] == "documents"
    pools = manifest["funnel"][-1]
    assert pools["read"] == pools["kept"] + sum(pools["dropped"].values())


def test_rows_stand_in_the_order_of_the_draw_over_all_crawls(built):
    candidates = draw.pooled(built)
    train = np.flatnonzero(~candidates.validation)
    drawn = train[draw.selected(built, candidates, train, stages.read_mixture(built)["weights"]).rows]
    wanted = [candidates.ids[row].tobytes().hex() for row in drawn]
    folder = folder_of(built, mixing.dataset)
    paths = json.loads((folder / "manifest.json").read_bytes())["splits"]["train"]["files"]
    assert [one for path in paths for one in pq.read_table(folder / path)["id"].to_pylist()] == wanted
    crawls = {candidates.parts[int(place) >> 32][0] for place in candidates.places[drawn[:40]]}
    assert crawls == {"crawl-1", "crawl-2"}  # shuffled over both, not one after the other


def test_every_layout_is_read_by_datasets_pyarrow_and_polars(exported, tmp_path):
    import datasets

    _, folder, manifest = exported
    loaded = datasets.load_dataset(str(folder), cache_dir=str(tmp_path))
    for split, stated in manifest["splits"].items():
        paths = [str(folder / path) for path in stated["files"]]
        texts = [text for path in paths for text in pq.read_table(path)["text"].to_pylist()]
        assert len(texts) == stated["rows"]
        assert sorted(loaded[split]["text"]) == sorted(texts)
        assert pads.dataset(paths).to_table(columns=["text"])["text"].to_pylist() == texts
        assert pl.scan_parquet(paths).select("text").collect()["text"].to_list() == texts


def test_nanochats_loop_over_row_groups_reads_every_row_once(exported):
    """Its way: all files in order, the last for validation, and rank r of n takes every n-th row group."""
    layout, folder, manifest = exported
    if layout != "nanochat":
        pytest.skip("another layout")
    shards = sorted(path for path in folder.iterdir() if path.suffix == ".parquet")
    for world in (1, 2, 8):
        read = []
        for rank in range(world):
            for shard in shards[:-1]:
                file = pq.ParquetFile(shard)
                for group in range(rank, file.num_row_groups, world):
                    read += file.read_row_group(group)["text"].to_pylist()
        assert len(read) == manifest["splits"]["train"]["rows"]
    assert [shards[-1].name] == manifest["splits"]["validation"]["files"]


def test_the_card_tells_the_cap_and_nothing_is_repeated_more(unbroken, tmp_path, monkeypatch):
    """With a budget, search and export share one cap: what the search finds is what is written."""
    pool = open_pool(unbroken).num_tokens["train"]
    budget = int(0.9 * pool.sum())
    corpus = copied(unbroken, tmp_path)
    corpus = made_corpus.changed(corpus, f"dataset.tokens={budget}", "dataset.max_epochs=1.3")
    searched(corpus, Planted(), monkeypatch, until="dataset")
    found = stages.read_mixture(corpus)
    for weights in (found["weights"], *found["others"].values()):
        assert (np.array(weights) * budget <= 1.3 * pool * (1 + 1e-9)).all()
    assert max(np.array(found["weights"]) * budget / pool) > 1.2  # planted on one cluster: the cap holds it back
    folder = folder_of(corpus, mixing.dataset)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert max(cluster["epochs"] for cluster in manifest["clusters"]) <= 1.3
    assert manifest["budget"]["reached"]
    assert manifest["budget"]["displaced"] < 0.01
    assert "No cluster is repeated more than 1.3 times." in (folder / "README.md").read_text()


def test_a_loose_cap_of_the_search_is_the_datasets_where_it_has_a_budget(built):
    def cap(**dataset):
        settings = built.settings.model_copy(update={"dataset": built.settings.dataset.model_copy(update=dataset)})
        return mixing.search_settings(replace(built, settings=settings)).max_epochs

    assert cap(tokens=0) == built.settings.search.max_epochs == 15
    assert cap(tokens=10_000) == built.settings.dataset.max_epochs == 4
    assert cap(tokens=10_000, max_epochs=99.0) == 15


def test_another_licence_of_the_same_texts_is_another_dataset(built, monkeypatch):
    version = mixing.dataset(built).recipe.digest
    content = mixing._content
    monkeypatch.setattr(
        mixing, "_content", lambda stage: "other" if stage.recipe.stage == "documents" else content(stage)
    )
    assert mixing.dataset(built).recipe.digest != version


# ---------------------------------------------------------------------------------------------------------
# The proxy


def test_the_exported_model_gives_our_losses_on_the_targets(built):
    import torch

    pool = open_pool(built)
    found = stages.read_mixture(built)
    trial = Trial(Schedule.static(found["weights"], 4000), built.settings.proxy, 7, "data", 0, 0)
    pools = [pool.tokens(bucket, "train") for bucket in range(pool.num_buckets)]
    model = train_model(trial, pools=pools, vocabulary=pool.vocabulary)
    twin = to_transformers(model).eval()
    targets = {name: one for name, one in trainers._evaluations(built, "final").items() if not one.groups}
    assert "final/stars" in targets
    assert len(targets) > 1
    ours = evaluate(model, targets)
    for name, target in targets.items():
        inputs, wanted = windows(target.tokens, sequence=trial.proxy.sequence, max_tokens=16_384)
        with torch.no_grad():
            logits = twin(torch.from_numpy(inputs)).logits.flatten(0, 1)
        theirs = torch.nn.functional.cross_entropy(logits, torch.from_numpy(wanted).flatten(), ignore_index=-1)
        assert ours[name].nats == pytest.approx(theirs.item(), abs=1e-4)
    assert len({loss.nats for loss in ours.values()}) > 1


# ---------------------------------------------------------------------------------------------------------
# A second crawl


@pytest.mark.slow
def test_a_second_crawl_starts_another_search_and_leaves_the_first_dataset(crawl_files, encoder, tmp_path, monkeypatch):
    from pipelines.crawls import register

    corpus = made_corpus.make(tmp_path / "ws", crawl_files, encoder, names=("crawl-1",))
    made_corpus.run_corpus(corpus)
    searched(corpus, Planted(), monkeypatch, until="dataset")
    first = folder_of(corpus, mixing.dataset)
    before = bytes_of(first)
    register(corpus.workspace, "crawl-2", [str(crawl_files / "crawl-2")])
    both = opened(corpus.workspace)
    made_corpus.run_corpus(both)
    assert mixing.search(both).label != mixing.search(corpus).label
    searched(both, Planted(), monkeypatch, until="dataset")
    assert folder_of(both, mixing.dataset) != first
    assert bytes_of(first) == before
    assert verify(first) == verify(folder_of(both, mixing.dataset)) == []


# ---------------------------------------------------------------------------------------------------------
# Strategies by name


def test_a_search_of_another_strategy_has_another_folder_and_the_first_ones_stay(unbroken):
    first = mixing.search(unbroken).recipe
    assert not {"strategy", "predictor"} & first.settings["search"].keys()
    digests = {first.digest}
    for change in ({"strategy": "bayes"}, {"strategy": "olmix"}, {"predictor": "loglinear"}):
        settings = unbroken.settings.model_copy(update={"search": unbroken.settings.search.model_copy(update=change)})
        digests.add(mixing.search(replace(unbroken, settings=settings)).recipe.digest)
    assert len(digests) == 4


def test_strategies_see_the_search_half_of_the_target_alone(unbroken):
    made = searches.search_of(unbroken, folder_of(unbroken, mixing.search))
    assert made.tasks == (f"search/{mixing.objective_target(unbroken)}",)


def test_a_searchs_runs_are_exported_and_fitted_again(unbroken, tmp_path, monkeypatch):
    monkeypatch.setattr("mixer.table_fit.CANDIDATES", 500)
    root = unbroken.workspace.root
    ran = CliRunner().invoke(mix.app, ["export-tables", "-w", root, "--out", str(tmp_path / "out")])
    assert ran.exit_code == 0, ran.output
    paths = [str(tmp_path / "out" / name) for name in ("ratios.csv", "metrics.csv")]
    runs = read_tables(*map(Path, paths))
    trials = journal.read(folder_of(unbroken, mixing.search) / "journal.jsonl")
    assert sorted(runs.keys) == sorted(entry.result.key for entry in trials)
    assert len(runs.buckets) == len(trials[0].trial.schedule.weights)
    ran = CliRunner().invoke(mix.app, ["fit", *paths, "--objective", "objective", "--json"])
    assert ran.exit_code == 0, ran.output


def test_a_search_without_its_rounds_is_not_exported(built, tmp_path):
    corpus = copied(built, tmp_path)
    with pytest.raises(StoreError, match="round 1 has not been proposed"):
        stages.search_table(corpus)
