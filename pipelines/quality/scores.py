"""Scores of documents, from which whole fine clusters are kept or pruned.

Two sources: the raw quality signals that are there anyway, and NVIDIA's published fastText classifiers
(Nemotron-CLIMB: overall quality, educational, informational and cultural value, advertisement), by path.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from pipelines.errors import InputError

PUBLISHED_MARKS = ".!?,'/()"  # the classifiers were trained on text with spaces around these
LABEL = "__label__"
_MARKS = re.compile(f"([{re.escape(PUBLISHED_MARKS)}])")
_SPACES = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class Ramp:
    """A signal's part in the score: 0 at `worst` and beyond, 1 at `best` and beyond, straight between."""

    worst: float
    best: float


# `worst` is where Gopher's or FineWeb's filter would drop a page, `best` where ordinary prose lies.
RAMPS = {
    "edited_line_punctuation": Ramp(worst=0.12, best=0.7),  # share of lines that end in a terminal mark
    "edited_short_lines": Ramp(worst=0.67, best=0.1),  # share of lines of at most 30 characters
    "dup_lines": Ramp(worst=0.3, best=0.0),  # share of lines that repeat an earlier one
    "edited_list_ratio": Ramp(worst=0.3, best=0.05),  # newlines per word
    "alpha_words": Ramp(worst=0.6, best=0.9),  # share of words with a letter
    "stop_words_own": Ramp(worst=0.0, best=4.0),  # distinct stop words of its language, -1 where it has no list
}
SCORE_COLUMNS = tuple(RAMPS)  # of the signals


def signal_score(signals: pl.DataFrame) -> npt.NDArray[np.float32]:
    """float32 [n] in [0, 1]: mean of the ramps over the signals that a document has; NaN where it has none.

    Columns are SCORE_COLUMNS; null, NaN and a negative value mean that there is no such signal. Own rule,
    made of the limits of Gopher (Rae et al. 2021, table A1) and FineWeb (Penedo et al. 2024, section 3.6);
    it ranks clusters of lists, menus and tables below clusters of prose, in any language.
    """
    missing = [name for name in SCORE_COLUMNS if name not in signals.columns]
    if missing:
        raise InputError(f"signals lack {', '.join(missing)}, which the score needs; compute the stage signals again")
    score = signals.select(score=pl.mean_horizontal([_ramped(name, ramp) for name, ramp in RAMPS.items()]))
    return score["score"].fill_null(np.nan).to_numpy().astype(np.float32)


def _ramped(name: str, ramp: Ramp) -> pl.Expr:
    value = pl.col(name).cast(pl.Float64).fill_nan(None)
    return pl.when(value >= 0).then(((value - ramp.worst) / (ramp.best - ramp.worst)).clip(0, 1))


def fasttext_scores(texts: Sequence[str], path: str | Path) -> npt.NDArray[np.float32]:
    """float32 [n]: the number in each text's likeliest label (`__label__3` is 3), NaN where it has none.

    `path` is a supervised fastText model (.bin or .ftz) with numeric labels; InputError otherwise. The
    official recipe takes the likeliest label, not the expectation.
    """
    import fasttext

    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"clusters.scores names {path}, which is no file; download the classifier, or leave it out")
    try:
        model = fasttext.load_model(str(path))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"clusters.scores: {path} is no fastText model: {error}") from error
    scores = np.full(len(texts), np.nan, dtype=np.float32)
    for row, text in enumerate(texts):
        labels, _ = model.predict(classifier_text(text), k=1)
        if labels:
            scores[row] = label_value(labels[0], path)
    return scores


def classifier_text(text: str) -> str:
    """One line as the published classifiers read it (NeMo Curator's tutorial of Nemotron-CLIMB, step 3).

    `<newline>` gets no spaces of its own there, so "a\\nb" is one word; parted, the classifier would meet
    words that it was not trained on.
    """
    text = _MARKS.sub(r" \1 ", text.replace("\n", "<newline>")).lower()
    return _SPACES.sub(" ", text).strip()


def label_value(label: str, path: Path) -> float:
    """-1.0 of `__label__-1`; InputError where a label is no number, as in a language model."""
    try:
        return float(label.removeprefix(LABEL))
    except ValueError:
        raise InputError(
            f"clusters.scores: {path} has the label {label!r}; labels must be numbers, as {LABEL}3"
        ) from None
