"""The settings search.trainer and search.evaluator: a search and its comparison by a user's own programs."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import made_corpus
import numpy as np
import pytest
from test_mixer_stages import copied

from mixer import journal, objectives, stages
from mixer import lineage as mixing
from mixer.job import planned
from mixer.proxies import trainers
from mixer.proxies.choices import Choices
from pipelines import lineage
from pipelines.corpus import Corpus
from pipelines.errors import SettingsError, TrialError
from pipelines.fitting import tokenizer_json
from pipelines.pooling import open_pool, read_evaluations, run_evaluations
from pipelines.settings import Task
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


def test_it_is_handed_the_items_of_tasks(built: Corpus, tmp_path: Path) -> None:
    corpus = with_trainer(copied(built, tmp_path), EXAMPLE, "search.rounds=[3]", "engine.workers=1")
    quiz = tmp_path / "quiz.jsonl"
    lines = [
        {"id": f"q{number}", "question": made_corpus.text("astronomy", number), "choices": chosen, "answer": 1}
        for number in range(24)
        for chosen in (["pension", "a bright comet"], ["a", "b", "gravity"][: 2 + number % 2])
    ]
    quiz.write_text("".join(json.dumps(line) + "\n" for line in lines))
    search = corpus.settings.search.model_copy(update={"objectives": {"quiz": 1.0, "stars": 1.0}})
    asked = {"tasks": (Task(name="quiz", path=str(quiz), metric="accuracy"),), "search": search}
    corpus = replace(corpus, settings=corpus.settings.model_copy(update=asked))
    run_evaluations(corpus)
    run_mixer(corpus, until="round")
    folder = corpus.workspace.local(*mixing.search(corpus).steps)
    told = json.loads((folder / "context-search" / "context.json").read_text())["tasks"]["search/quiz"]
    items = [json.loads(line) for line in Path(told["path"]).read_text().splitlines()]
    ours = objectives.evaluations(corpus, "search")["search/quiz"]
    assert isinstance(ours, Choices)
    choices = [one for item in items for one in item["choices"]]
    assert [token for one in choices for token in one["context"] + one["answer"]] == ours.tokens.tolist()
    assert [len(one["answer"]) for one in choices] == ours.lengths.tolist()
    assert [[one["chars"], one["num_bytes"]] for one in choices] == np.stack([ours.chars, ours.num_bytes], 1).tolist()
    places = [(number, place) for number, item in enumerate(items) for place in range(len(item["choices"]))]
    assert [number for number, _ in places] == ours.items.tolist()
    assert [place == items[number]["right"] for number, place in places] == ours.right.tolist()
    assert (told["metric"], told["items"]) == ("accuracy", len(items))
    objective = objectives.objective_of(corpus, "search")
    for entry in journal.read(folder / "journal.jsonl"):
        losses = entry.result.losses
        assert losses["search/quiz"].accuracy * len(items) == pytest.approx(
            round(losses["search/quiz"].accuracy * len(items))
        )
        assert objective(entry.result) == pytest.approx(
            (1 - losses["search/quiz"].accuracy + losses["search/stars"].nats) / 2
        )


def test_one_that_hangs_is_ended_and_the_search_says_so(built: Corpus, tmp_path: Path) -> None:
    script = tmp_path / "theirs.py"
    script.write_text("import time\ntime.sleep(1000)\n")
    corpus = with_trainer(
        copied(built, tmp_path), script, "search.rounds=[4]", "search.max_program_minutes=0.01", "engine.workers=2"
    )
    with pytest.raises(TrialError, match=r"trials failed .* was ended after 0.01 minutes, search.max_program_minutes"):
        run_mixer(corpus, until="round")
    trainers.close_trainers()


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
    shell = made_corpus.changed(plain, f'search.trainer=["sh", "-c", "{"echo " * 1000}"]')
    assert mixing.search(shell).recipe.digest != before.digest  # a word too long for a file's name


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
