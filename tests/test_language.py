"""Language identification on whole texts."""

import gzip
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pipelines.errors import InputError
from pipelines.text.language import identify


def test_known_languages_and_empty_text() -> None:
    codes, scores = identify(
        ["The quick brown fox jumps over the lazy dog.", "", "Der schnelle braune Fuchs springt.\nUnd dann?", " \n "]
    )
    assert codes == ["en", "und", "de", "und"]
    assert scores.dtype == np.float32
    assert scores[1] == scores[3] == 0.0
    assert 0.5 < scores[0] <= 1.0


def test_the_whole_text_counts_not_its_beginning() -> None:
    text = "Hello world.\n" + "Ceci est un texte en langue francaise, avec beaucoup de mots. " * 40
    assert identify([text])[0] == ["fr"]


def test_line_breaks_are_spaces_and_odd_characters_do_no_harm() -> None:
    assert identify(["one two\nthree"])[1] == identify(["one two three"])[1]
    codes, scores = identify(["\ud800 lone surrogate in an English sentence", "nul \x00 in an English sentence"])
    assert codes == ["en", "en"]
    assert np.isfinite(scores).all()


def test_the_same_whatever_else_is_asked() -> None:
    texts = ["Guten Tag zusammen", "Good day everyone", "Bonjour tout le monde"]
    together = identify(texts)[1]
    assert [identify([text])[1][0] for text in texts] == together.tolist()


def test_a_missing_model_is_named() -> None:
    with pytest.raises(InputError, match=r"no-such\.bin"):
        identify(["x"], "no-such.bin")


def test_another_file_is_not_a_model(tmp_path: Path) -> None:
    path = tmp_path / "text.bin"
    path.write_bytes(b"no model at all" * 10)
    with pytest.raises(InputError, match="not a fastText model"):
        identify(["x"], str(path))


def test_agrees_with_the_labels_of_real_documents(shared: Path) -> None:
    with gzip.open(shared / "domains/encyclopedia_fr.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in islice(lines, 800)]
    texts = [text for text in texts if len(text) > 200]
    assert len(texts) > 100
    codes, _ = identify(texts)
    assert codes.count("fr") > 0.97 * len(codes)
