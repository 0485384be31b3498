"""Multiple-choice tasks: what a line may be, which half it falls into, and what a proxy's answers are worth."""

import json
import math
from dataclasses import replace
from pathlib import Path

import made_corpus
import numpy as np
import pytest
import torch
from made_searches import copied

from mixer import objectives
from mixer.proxies.choices import Choices, hits, loss_of, windows
from mixer.proxies.evaluate import evaluate, log_likelihoods
from mixer.proxies.model import Llama
from mixer.proxies.trainer import ProcessTrainer
from mixer.runs import Objective, Part
from mixer.trial import Loss, Result, Schedule, Trial
from pipelines import configuration, tasks
from pipelines.contamination.evaluations import read_items as read_tests
from pipelines.errors import InputError, SettingsError
from pipelines.pooling import open_pool, read_evaluations, read_fine_evaluations, run_evaluations
from pipelines.search_settings import Proxy
from pipelines.settings import Task
from pipelines.tokens import Tokenizer, load_tokenizer, train_bpe

PROXY = Proxy(layers=1, width=16, heads=2, sequence=24)


def question(number: int, **given) -> dict:
    text = made_corpus.text("astronomy", number)
    return {"id": f"q{number}", "question": text, "choices": ["a bright comet", "pension"], "answer": 0, **given}


def write(path: Path, rows: list) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def task(path: Path, **given) -> Task:
    return Task(name="quiz", path=str(path), **given)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = [made_corpus.text(topic, number) for topic in ("astronomy", "cooking") for number in range(20)]
    return load_tokenizer(train_bpe(iter(texts), vocabulary=400))


@pytest.fixture(scope="module")
def quiz(tokenizer, tmp_path_factory) -> Choices:
    rows = [question(number, choices=["a bright comet", "pension", "x" * (number % 9 + 1)]) for number in range(30)]
    rows.append(question(31, choices=None, answer="tonight"))
    items = tasks.read_items(task(write(tmp_path_factory.mktemp("quiz") / "quiz.jsonl", rows)))
    return Choices.of_table(tasks.choices("quiz", items, tokenizer))


# ---------------------------------------------------------------------------------------------------------
# Reading


@pytest.mark.parametrize(
    ("given", "contexts", "answers", "right"),
    [
        ({"answer": 1}, ("Why?", "Why?"), ("so", "thus"), 1),
        ({"answer": "B"}, ("Why?", "Why?"), ("so", "thus"), 1),
        ({"answer": "so "}, ("Why?", "Why?"), ("so", "thus"), 0),
        ({"choices": None, "answer": "because"}, ("Why?",), ("because",), 0),
        ({"question": None, "continuation": "it fell.", "answer": 1}, ("so", "thus"), ("it fell.",) * 2, 1),
    ],
)
def test_a_line_may_be_of_each_plain_form(given, contexts, answers, right, tmp_path):
    line = {"question": " Why?\n", "choices": ["so", "thus"], **given}
    others = [question(number) for number in range(20)]
    found = tasks.read_items(task(write(tmp_path / "quiz.jsonl", [line, *others])))
    item = next(item for item in found if item.id == "1")
    assert (item.contexts, item.answers, item.right) == (contexts, answers, right)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"question": "Why?"', "an item is a JSON object"),
        ({"question": "Why?", "choices": ["a", "b"]}, "KeyError\\('answer'\\)"),
        ({"question": "Why?", "choices": ["a", "b"], "answer": 2}, "answer = 2 is none of 2 choices"),
        ({"question": "Why?", "choices": ["a", "b"], "answer": True}, "answer = True is none"),
        ({"question": "Why?", "choices": ["a", " "], "answer": 0}, "an answer is empty"),
        ({"question": 3, "choices": ["a", "b"], "answer": 0}, "3 is no text"),
    ],
)
def test_a_line_that_is_no_item_is_named(line, told, tmp_path):
    path = write(tmp_path / "quiz.jsonl", [question(0), line])
    with pytest.raises(InputError, match=rf"quiz\.jsonl:2: .*{told}"):
        tasks.read_items(task(path))


def test_halves_share_no_context_and_hold_each_item_once(tmp_path):
    rows = [question(number % 40, answer=number % 2) for number in range(80)] + [question(3)]
    rows += [question(number, choices=["water", "fire"]) for number in range(40)]  # the same contexts again
    found = tasks.read_items(task(write(tmp_path / "quiz.jsonl", rows)))
    assert len(found) == 80
    halves = [{item.contexts for item in found if item.split == split} for split in ("search", "final")]
    assert all(halves)
    assert not halves[0] & halves[1]
    fewer = tasks.read_items(task(tmp_path / "quiz.jsonl", max_items=5))
    assert [item.split for item in fewer] == ["search"] * 5 + ["final"] * 5
    assert set(fewer) <= set(found)
    shuffled = write(tmp_path / "again.jsonl", rows[::-1])
    same = tasks.read_items(task(shuffled, max_items=5))
    assert [(item.contexts, item.answers) for item in same] == [(item.contexts, item.answers) for item in fewer]


def test_a_task_of_one_half_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"tasks\.quiz: .* has \d for search and \d for final; it needs some in both"):
        tasks.read_items(task(write(tmp_path / "quiz.jsonl", [question(1)])))


def test_context_and_answer_are_the_tokens_of_both_as_one_text(tokenizer, tmp_path):
    rows = [question(number, choices=["a comet", "ñandú"]) for number in range(10)]
    items = tasks.read_items(task(write(tmp_path / "quiz.jsonl", rows), prompt="Question: {question}\nAnswer:"))
    table = tasks.choices("quiz", items, tokenizer).to_pylist()
    assert len(table) == 20
    for item, row in zip([one for one in items for _ in one.answers], table, strict=True):
        answer = item.answers[0 if row["right"] else 1]
        assert tokenizer.decode(row["context"]) == item.contexts[0]
        assert item.contexts[0].startswith("Question: ")
        assert tokenizer.decode(row["context"] + row["answer"]) == f"{item.contexts[0]} {answer}"
        assert (row["chars"], row["num_bytes"]) == (len(answer), len(answer.encode()))


# ---------------------------------------------------------------------------------------------------------
# Scores


def test_log_likelihoods_are_those_of_each_choice_alone(quiz):
    model = Llama(PROXY, 400, seed=3)
    found, greedy = log_likelihoods(model, quiz)
    assert (np.diff(windows(quiz, PROXY.sequence).starts) >= 0).all()
    assert max(np.diff(quiz.ends, prepend=0)) > PROXY.sequence + 1  # some contexts are cut
    begins = np.concatenate([[0], quiz.ends[:-1]])
    for row, (begin, end, length) in enumerate(zip(begins, quiz.ends, quiz.lengths, strict=True)):
        ids = torch.tensor(quiz.tokens[begin:end][-(PROXY.sequence + 1) :])
        with torch.no_grad():
            logs = torch.log_softmax(model(ids[None, :-1])[0], dim=-1)[-length:]
        assert found[row] == pytest.approx(logs[range(length), ids[-length:]].sum().item(), abs=1e-4)
        assert greedy[row] == bool((logs.argmax(dim=-1) == ids[-length:]).all())


def test_an_answer_longer_than_a_sequence_is_read_in_pieces():
    model = Llama(PROXY, 400, seed=3)
    ids = np.random.default_rng(0).integers(0, 400, 70)
    one = Choices(ids, *(np.array([value]) for value in (70, 60, 60, 60, 0)), np.array([True]))
    found, _ = log_likelihoods(model, one)
    total = 0.0
    for first, last in ((10, 34), (34, 58), (58, 70)):
        piece = torch.from_numpy(ids[max(0, last - 25) : last])
        with torch.no_grad():
            logs = torch.log_softmax(model(piece[None, :-1])[0], dim=-1)
        wanted = range(len(piece) - 1 - (last - first), len(piece) - 1)
        total += sum(logs[place, piece[place + 1]].item() for place in wanted)
    assert found[0] == pytest.approx(total, abs=1e-3)


def test_losses_are_means_over_items_by_hand():
    #              item 0          item 1      item 2: a single choice
    right = np.array([True, False, False, True, True])
    one = Choices(
        np.empty(0),
        np.zeros(5, int),
        lengths=np.array([2, 1, 1, 4, 2]),
        chars=np.array([10, 2, 4, 8, 5]),
        num_bytes=np.array([10, 2, 4, 16, 5]),
        items=np.array([0, 0, 1, 1, 2]),
        right=right,
    )
    logs, greedy = np.array([-4.0, -3.0, -2.0, -8.0, -5.0]), np.array([False, True, True, False, True])
    assert hits(one, logs, greedy).tolist() == [False, False, True]
    assert hits(one, logs / one.chars, greedy).tolist() == [True, False, True]  # -.4 > -1.5; -.5 > -1
    loss = loss_of(one, logs, greedy)
    assert loss.nats == pytest.approx((4 / 2 + 8 / 4 + 5 / 2) / 3)
    assert loss.bits_per_byte == pytest.approx((4 / 10 + 8 / 16 + 5 / 5) / 3 / math.log(2))
    assert (loss.accuracy, loss.accuracy_norm) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    ties = hits(one, np.array([-3.0, -3.0, -2.0, -2.0, -1.0]), greedy)
    assert ties.tolist() == [True, False, True]  # the first of equals


def test_a_proxy_that_learnt_the_answers_gives_them(quiz):
    model = Llama(PROXY, 400, seed=0)
    before = evaluate(model, {"quiz": quiz})["quiz"]
    begins = np.concatenate([[0], quiz.ends[:-1]])
    rows = [quiz.tokens[begin:end][-25:] for begin, end, r in zip(begins, quiz.ends, quiz.right, strict=True) if r]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(25):
        ids = torch.tensor(np.stack([row for row in rows if len(row) == 25]))
        optimizer.zero_grad()
        (model.loss(ids[:, :-1], ids[:, 1:]) / ids[:, 1:].numel()).backward()
        optimizer.step()
    after = evaluate(model, {"quiz": quiz})["quiz"]
    assert after.bits_per_byte < before.bits_per_byte
    assert after.accuracy is not None
    assert after.accuracy > 0.9 > before.accuracy


# ---------------------------------------------------------------------------------------------------------
# Results


def test_a_result_keeps_all_metrics_and_reads_old_lines():
    loss = Loss(3.0, 1.5, 0.25, 0.5)
    assert Loss.from_json(json.loads(json.dumps(loss.to_json()))) == loss
    assert [loss.value(metric) for metric in ("nats", "bits_per_byte", "accuracy", "accuracy_norm")] == [
        3,
        1.5,
        0.75,
        0.5,
    ]
    assert Loss(3.0, 1.5).to_json() == {"nats": 3.0, "bits_per_byte": 1.5}
    assert Loss.from_json({"nats": 3.0, "bits_per_byte": 1.5}) == Loss(3.0, 1.5)
    wanted = Objective((Part("quiz", 1.0, "accuracy"),))
    assert wanted(Result("k", {"quiz": loss}, 1, 1.0)) == 0.75
    with pytest.raises(SettingsError, match="quiz of trial k: there is no accuracy"):
        wanted(Result("k", {"quiz": Loss(3.0, 1.5)}, 1, 1.0))


# ---------------------------------------------------------------------------------------------------------
# Settings and the whole way


def test_tasks_are_kept_out_of_the_crawl_by_themselves(tmp_path):
    path = str(write(tmp_path / "quiz.jsonl", [question(1), question(2)]))
    given = {"name": "quiz", "path": path}
    found = configuration.resolved({"tasks": [given]})
    assert [(one.name, one.path) for one in found.decontamination.sets] == [("quiz", path)]
    assert "a bright comet" in read_tests(found.decontamination.sets[0])[0].text
    assert configuration.validated(configuration.dumped(found)) == found
    named = {"tasks": [given], "decontamination": {"sets": [{"name": "mine", "path": path}], "action": "report"}}
    assert [one.name for one in configuration.resolved(named).decontamination.sets] == ["mine"]
    assert configuration.resolved({}).decontamination.sets == ()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"prompt": "Answer:"}, "has no place for {question}"),
        ({"metric": "f1"}, r"tasks\.0\.metric = 'f1'"),
        ({"name": "stars"}, "two targets or tasks share a name: stars, stars"),
        ({"path": None}, r"tasks\.0\.path = None"),
    ],
)
def test_settings_of_tasks_that_are_none_are_refused(change, told):
    given = {"tasks": [{"name": "quiz", "path": "quiz.jsonl", **change}], "targets": [{"name": "stars", "path": "x"}]}
    with pytest.raises(SettingsError, match=told):
        configuration.resolved(given)


def test_a_search_is_measured_on_tasks(built, tmp_path):
    corpus = copied(built, tmp_path)
    path = write(tmp_path / "quiz.jsonl", [question(number) for number in range(30)])
    search = corpus.settings.search.model_copy(update={"objectives": {"quiz": 1.0, "mixed": 1.0}})
    settings = corpus.settings.model_copy(update={"tasks": (task(path, metric="accuracy"),), "search": search})
    corpus = replace(corpus, settings=settings)
    report = run_evaluations(corpus)
    assert (report.counts["tasks"], report.counts["items"]) == (1, 30)
    _, documents = read_evaluations(corpus)
    fine = read_fine_evaluations(corpus)
    half = [item for item in tasks.read_items(settings.tasks[0]) if item.split == "search"]
    assert sum(fine["quiz"]) == len(half)
    assert {name: sum(counts) for name, counts in documents.items()} == {
        name: sum(counts) for name, counts in fine.items()
    }  # nothing is pruned here
    objective = objectives.objective_of(corpus, "search")
    assert [(part.name, part.metric) for part in objective.parts] == [
        ("search/quiz", "accuracy"),
        ("search/mixed", "nats"),
    ]
    pool, found = open_pool(corpus), []
    trial = Trial(Schedule.static(np.ones(pool.num_buckets) / pool.num_buckets, 2000), PROXY, 7, "data", 0, 0)
    measured = {name: one for name, one in objectives.evaluations(corpus, "search").items() if name in objective.names}
    pools = [pool.tokens(bucket, "train") for bucket in range(pool.num_buckets)]
    with ProcessTrainer(pools, measured, vocabulary=pool.vocabulary, workers=1, device="cpu") as trainer:
        trainer.train([trial], found.append)
    assert found[0].error == ""
    quiz, mixed = (found[0].losses[name] for name in objective.names)
    assert objective(found[0]) == pytest.approx((1 - quiz.accuracy + mixed.nats) / 2)
