"""The settings search.trainer and search.evaluator: a search and its comparison by a user's own programs."""

import json
import sys
from pathlib import Path

import made_corpus
import numpy as np
import pytest
from test_mixer_stages import copied

from mixer import journal, stages, trainers
from mixer import lineage as mixing
from mixer.job import planned
from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError
from pipelines.fitting import tokenizer_json
from pipelines.pooling import open_pool, read_evaluations
from pipelines.tokens import load_tokenizer

EXAMPLE = Path(__file__).parents[1] / "infra" / "examples" / "trainer.py"


def with_trainer(corpus: Corpus, script: Path, *changes: str) -> Corpus:
    return made_corpus.changed(corpus, f'search.trainer=["{sys.executable}", "{script}"]', *changes)


def run_mixer(corpus: Corpus, *, until: str) -> None:
    for step, arguments in planned(corpus):
        if step.module == "mixer.stages":
            step.run(corpus, *arguments)
            if step.name == until:
                break
    trainers.close_trainers()


@pytest.fixture(scope="module")
def searched(built: Corpus, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """A search and its comparison by the example, copied from where it lies, as a user would."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "trainer.py").write_bytes(EXAMPLE.read_bytes())
    corpus = with_trainer(copied(built, folder), folder / "trainer.py", "engine.workers=2")
    run_mixer(corpus, until="comparison")
    return corpus


def test_the_example_trains_the_whole_search_and_its_comparison(searched: Corpus) -> None:
    folder = searched.workspace.local(*mixing.search(searched).steps)
    entries = journal.read(folder / "journal.jsonl")
    assert len(entries) == 13
    assert not [entry.result.error for entry in entries if entry.result.failed]
    assert {tuple(entry.result.losses) for entry in entries} == {("search/stars", "search/mixed")}
    told = stages.read_comparison(searched)
    assert set(told["mixtures"]) == {"search", "natural", "uniform", "nearest", "entropy", "random"}
    assert told["mixtures"]["nearest"]["mean"] < told["mixtures"]["natural"]["mean"]  # it has learnt its tokens


@pytest.mark.parametrize("split", ["search", "final"])
def test_the_context_holds_one_split_and_is_what_the_pools_are(searched: Corpus, split: str) -> None:
    folder = searched.workspace.local(*mixing.search(searched).steps)
    context = json.loads((folder / f"context-{split}" / "context.json").read_text())
    pool = open_pool(searched)
    for bucket, files in enumerate(context["pools"]):
        for part in ("train", "validation"):
            np.testing.assert_array_equal(np.fromfile(files[part], context["dtype"]), pool.tokens(bucket, part))
    assert list(context["evaluations"]) == [f"{split}/stars", f"{split}/mixed"]
    table, _ = read_evaluations(searched)
    rows = {(row["target"], row["group"]): row for row in table.to_pylist() if row["split"] == split}
    for name, groups in context["evaluations"].items():
        for group in groups:
            row = rows.pop((name.partition("/")[2], group["group"]))
            assert np.load(group["path"]).tolist() == row["tokens"]
            assert group["num_bytes"] == row["num_bytes"]
    assert not rows
    tokenizer = load_tokenizer(Path(context["tokenizer"]).read_bytes())
    assert tokenizer.digest == load_tokenizer(tokenizer_json(searched)).digest
    assert (context["vocabulary"], context["end_of_text"]) == (tokenizer.vocabulary, tokenizer.end_of_text)


def test_a_search_may_serve_a_loss_that_only_its_trainer_knows(built: Corpus, tmp_path: Path) -> None:
    script = tmp_path / "theirs.py"
    script.write_text(
        "import json, sys\ntrial = json.load(open(sys.argv[1]))\nweights = trial['schedule']['phases'][0]['weights']\n"
        "print(json.dumps({'losses': {'theirs': {'nats': 1 + sum(w * w for w in weights)}}}))\n"
    )
    corpus = with_trainer(copied(built, tmp_path), script, "search.objective=theirs", "search.rounds=[4]")
    run_mixer(corpus, until="mixture")
    assert stages.read_mixture(corpus)["objective"] == "theirs"
    entries = journal.read(corpus.workspace.local(*mixing.search(corpus).steps) / "journal.jsonl")
    assert len({entry.result.losses["theirs"].nats for entry in entries}) > 1
    (tmp_path / "blind.py").write_text('print(\'{"losses": {"other": {"nats": 1}}}\')')
    blind = with_trainer(corpus, tmp_path / "blind.py")
    with pytest.raises(SettingsError, match="no loss named theirs in the results; there are: other"):
        run_mixer(blind, until="mixture")


def test_addresses_know_the_program_by_its_content(built: Corpus, tmp_path: Path) -> None:
    plain = copied(built, tmp_path)
    script = tmp_path / "trainer.py"
    script.write_text("pass")
    before = mixing.search(plain).recipe
    assert "trainer" not in json.dumps(before.settings)
    first = mixing.search(with_trainer(plain, script)).recipe
    data = mixing.data_digest(with_trainer(plain, script))
    assert data != mixing.data_digest(plain)  # no trial of one is taken for a trial of the other
    moved = tmp_path / "moved.py"
    moved.write_text("pass")
    assert mixing.search(with_trainer(plain, moved)).recipe.digest == first.digest != before.digest
    script.write_text("pass # changed")
    assert mixing.search(with_trainer(plain, script)).recipe.digest != first.digest
    assert lineage.pools(with_trainer(plain, script)).label == lineage.pools(plain).label


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (('search.trainer=["/nowhere/train", "fast"]',), "no program '/nowhere/train' that can be run"),
        (('search.evaluator=["/nowhere/measure"]',), "search.evaluator = .*no program '/nowhere/measure'"),
        (('search.evaluator=["a"]', 'search.trainer=["b"]'), "search.trainer is another"),
        (("search.objective=theirs",), "none of the targets: stars, mixed"),
    ],
)
def test_what_cannot_be_is_said_before_hours_are_spent(
    built: Corpus, tmp_path: Path, changes: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        trainers.trainer_of(made_corpus.changed(copied(built, tmp_path), *changes), "search")
