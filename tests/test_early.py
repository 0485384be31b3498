"""An earlier search's mixture before the last phase: its clusters, what may stand beside it, what it trains."""

import json
from dataclasses import replace
from pathlib import Path

import made_corpus
import numpy as np
import planted
import pytest
from made_searches import Planted, copied, folder_of, searched
from planted import PlantedTrainer

from mixer import journal, stages
from mixer import lineage as mixing
from mixer.freezing import groups_of, mixture_of
from mixer.search import MixtureSearch
from mixer.strategy import Target
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError
from pipelines.search_settings import Bound, Frozen, Search

NAMES = ["law", "maths", "news", "code", "games", "food", "music", "talk"]
ROW = (0.1, 0.2, 0.1, 0.1, 0.2, 0.1, 0.1, 0.1)


def written(path: Path, clusters: list[str], weights: list[float]) -> Path:
    path.write_text(json.dumps({"clusters": clusters, "weights": weights}))
    return path


def test_its_clusters_are_known_by_their_names(tmp_path: Path) -> None:
    path = written(tmp_path / "mixture.json", ["code", "gone", "law"], [0.3, 0.0, 0.1])
    assert mixture_of(path, NAMES) == pytest.approx([0.25, 0, 0, 0.75, 0, 0, 0, 0])
    twins = ["law", "law", "news"]
    written(path, twins, [0.5, 0.2, 0.3])
    assert mixture_of(path, twins) == pytest.approx([0.5, 0.2, 0.3])  # the same clusters, whatever they are called
    for clusters, weights, names, told in (
        (["gone", "gone"], [0.5, 0.5], NAMES, "weighs gone, which is not one"),
        (["code", "gone"], [0.5, 0.5], NAMES, "weighs gone, which is not one cluster here; there are: law, maths"),
        (twins, [0.5, 0.2, 0.3], NAMES, "weighs law, which is not one"),
        (["law", "news"], [0.5, 0.5], twins, "weighs law, which is not one"),
        (["law", "news"], [0.5], NAMES, "is no readable mixture.json"),
        (["law"], [float("nan")], NAMES, "is no readable mixture.json"),
        (["law"], [0.0], NAMES, "is no readable mixture.json"),
    ):
        written(path, clusters, weights)
        with pytest.raises(SettingsError, match=told):
            mixture_of(path, names)


def search(folder: Path, **given) -> MixtureSearch:
    settings = Search(
        rounds=(6, 3), tokens=1000, candidates=600, phases=(0.5, 0.3, 0.2), max_epochs=8.0, strategy="annealing",
        early="old/mixture.json",
    )  # fmt: skip
    made = planted.steps(folder, settings, target=Target.of_counts(np.ones(8)))
    return replace(made, early=ROW, **given)


def test_the_first_phases_train_it_and_the_last_one_is_searched(tmp_path: Path) -> None:
    made, trainer = search(tmp_path), PlantedTrainer()
    found = made.run(trainer)
    assert [list(phase.weights) for phase in found.schedule.phases[:2]] == [pytest.approx(ROW)] * 2
    ours = [trial.schedule.phases for trial in trainer.trained if trial.round in (1, 2)]
    assert len(ours) == 9
    assert all(phase.weights == pytest.approx(ROW) for parts in ours for phase in parts[:-1])
    assert len({parts[-1].weights for parts in ours}) == 9
    epochs = np.array(found.schedule.weights) * sum(planted.TOKENS) / np.array(planted.TOKENS)
    assert (epochs <= 8 + 1e-6).all()


def test_frozen_shares_and_bounds_must_be_its_own(tmp_path: Path) -> None:
    own = groups_of([Frozen(clusters=("law", "maths"), weights=(1, 2))], NAMES, planted.TOKENS)
    trainer = PlantedTrainer()
    search(tmp_path / "own", groups=own).run(trainer)
    ours = [trial.schedule.phases for trial in trainer.trained if trial.round in (1, 2)]
    assert all(parts[0].weights == pytest.approx(ROW) for parts in ours)
    other = groups_of([Frozen(clusters=("law", "maths"), weights=(1, 1))], NAMES, planted.TOKENS)
    bounded = groups_of([], NAMES, planted.TOKENS, [Bound(cluster="news", min=0.12)])
    for groups in (other, bounded):
        with pytest.raises(SettingsError, match=r"has other shares than search\.frozen or search\.bounds allow"):
            search(tmp_path / "other", groups=groups).run(PlantedTrainer())


def test_it_is_part_of_a_searchs_address_by_its_content(
    built: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = copied(built, tmp_path)
    searched(corpus, Planted(), monkeypatch)
    before = stages.read_mixture(corpus)
    path = written(tmp_path / "mixture.json", before["clusters"], before["weights"])
    changes = ("search.strategy=annealing", "search.phases=[0.5, 0.5]", f"search.early={path}", "search.max_epochs=50")
    later = made_corpus.changed(corpus, *changes)
    searched(later, Planted(), monkeypatch)
    found = stages.read_mixture(later)
    assert found["schedule"]["phases"][0]["weights"] == pytest.approx(before["weights"])
    entries = journal.read(folder_of(later, mixing.search) / "journal.jsonl")
    assert {len(entry.trial.schedule.phases) for entry in entries if entry.trial.round == 1} <= {1, 2}
    label = mixing.search(later).label
    written(path, before["clusters"][::-1], before["weights"])
    assert mixing.search(later).label != label
    path.unlink()
    with pytest.raises(SettingsError, match=r"search\.early = .*mixture\.json is not there"):
        mixing.search(later)
