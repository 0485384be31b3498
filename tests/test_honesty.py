"""The search may not say "beats" where nothing can be gained: real trainings on corpora whose truth is known.

The corpora are those of infra/benchmarks/honesty.py, which repeats them; proxies are tiny and training follows from
the seed, so that one machine always says the same.
"""

import importlib.util
import sys
from pathlib import Path

import pytest

FEW = {"rounds": (6, 3), "final_seeds": 3, "final_mixtures": ("natural", "uniform")}  # what these answers need
SCRIPT = Path(__file__).parents[1] / "infra" / "benchmarks" / "honesty.py"


@pytest.fixture(scope="module")
def honesty():
    specification = importlib.util.spec_from_file_location("honesty", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules["honesty"] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def gain(honesty, tmp_path_factory):
    """(corpus, comparison) where the clusters are topics and the target is one of them."""
    corpus = honesty.topics(0)
    return corpus, judged(honesty, corpus, tmp_path_factory.mktemp("topics"))


def judged(honesty, corpus, folder):
    return honesty.judged(corpus, folder, settings=honesty.SEARCH.model_copy(update=FEW))


def outcomes(found) -> dict[str, str]:
    return {verdict.other: verdict.outcome for verdict in found.verdicts}


def test_a_search_gains_where_the_clusters_are_topics(gain):
    _, found = gain
    assert outcomes(found)["natural"] == outcomes(found)["uniform"] == "beats"
    assert found.verdicts[0].difference > 0.2


def test_the_gain_is_gone_once_the_labels_are_shuffled(gain, honesty, tmp_path):
    corpus, with_gain = gain
    shuffled = honesty.shuffled(corpus, 0)
    assert sorted(shuffled.clusters) == sorted(corpus.clusters)
    assert [len(ids) for ids in shuffled.documents] == [len(ids) for ids in corpus.documents]
    found = judged(honesty, shuffled, tmp_path)
    assert "beats" not in outcomes(found).values()
    assert found.verdicts[0].difference < with_gain.verdicts[0].difference / 8


def test_no_difference_is_shown_between_clusters_that_are_alike(honesty, tmp_path):
    found = judged(honesty, honesty.flat(0), tmp_path)
    assert set(outcomes(found).values()) == {"no difference shown"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flat", "shuffled"])
def test_beats_is_hardly_ever_said_over_repetitions(name, honesty, tmp_path):
    """Five corpora of each kind; one "beats" in forty comparisons is what 95 % allows, two of five is not."""
    said = 0
    for seed in range(1, 6):
        corpus = honesty.flat(seed) if name == "flat" else honesty.shuffled(honesty.topics(seed), seed)
        found = honesty.judged(corpus, tmp_path / str(seed), seed=42 + seed)
        said += "beats" in outcomes(found).values()
    assert said <= 1
