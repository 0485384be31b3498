"""The dataset of a finished search: every layout, killed or not, holds the draws that its manifest states."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import made_corpus
import numpy as np
import polars as pl
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from made_searches import Planted, bytes_of, copied, folder_of, searched

from mixer import lineage as mixing
from mixer import objectives, stages
from mixer.export import draw, shuffle
from mixer.export.verify import verify
from mixer.proxies.evaluate import evaluate, windows
from mixer.proxies.model import to_transformers
from mixer.proxies.train import train_model
from mixer.trial import Schedule, Trial
from pipelines.corpus import opened
from pipelines.pooling import open_pool

FINISHED = ("search", "mixture", "comparison")

KILLED_EXPORT = """
import os, signal, sys
sys.path[:] = {path!r}
from mixer.export import shuffle
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


# ---------------------------------------------------------------------------------------------------------
# Layouts


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


# ---------------------------------------------------------------------------------------------------------
# What the mixture promises


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


def test_the_exported_model_gives_our_losses_on_the_targets(built):
    import torch

    pool = open_pool(built)
    found = stages.read_mixture(built)
    trial = Trial(Schedule.static(found["weights"], 4000), built.settings.proxy, 7, "data", 0, 0)
    pools = [pool.tokens(bucket, "train") for bucket in range(pool.num_buckets)]
    model = train_model(trial, pools=pools, vocabulary=pool.vocabulary)
    twin = to_transformers(model).eval()
    targets = {name: one for name, one in objectives.evaluations(built, "final").items() if not one.groups}
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
