"""Scores of documents: columns of classifiers' values, and what the raw signals say where there is no classifier.

A score drops single documents by its limits, and whole fine clusters by their mean. Three kinds of classifier:

- `fasttext`: any supervised model. DCLM's keeps a document whose probability of `hq` is at least 0.018112, about the
  best tenth (Li et al. 2024, section 4.4): `label = "hq"`, `min = 0.018112`;
- `climb`: NVIDIA's five of Nemotron-CLIMB (overall quality, educational, informational and cultural value,
  advertisement), whose likeliest label is the score;
- `linear`: a head on the corpus's own embeddings, from `train-classifier`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.classifiers.models import (
    climb_line,
    existing,
    known_label,
    label_value,
    line_of,
    load_fasttext,
    load_head,
)
from pipelines.digest import file_digest
from pipelines.errors import InputError
from pipelines.settings import Score


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
    return load_fasttext(path, "clusters.scores").numbers([climb_line(text) for text in texts])


# ---------------------------------------------------------------------------------------------------------
# Columns and reasons


def fingerprint(scores: Sequence[Score]) -> dict[str, str]:
    """{name: digest of its file}: what the columns depend on beside the settings."""
    return {score.name: file_digest(existing(score.path, f"scores.{score.name}")) for score in scores}


def score_texts(texts: Sequence[str], scores: Sequence[Score]) -> pa.Table:
    """A float32 column for each score of text, by its name; null where no word of a text is known to the model."""
    read = [score for score in scores if score.kind != "linear"]
    lines = {kind: [line(text) for text in texts] for kind, line in _LINES.items() if kind in {s.kind for s in read}}
    columns = {}
    for score in read:
        model = load_fasttext(score.path, f"scores.{score.name}")
        if score.label:
            values = model.probabilities(lines[score.kind], score.label)
        else:
            values = model.numbers(lines[score.kind])
        columns[score.name] = _column(values)
    return pa.table(columns)


def score_vectors(
    vectors: npt.NDArray[np.float16], embedded: npt.NDArray[np.bool_], encoder: str, scores: Sequence[Score]
) -> pa.Table:
    """A float32 column for each linear score, by its name; null where a document is not embedded.

    `vectors` [n, dimensions] come from the encoder whose `encoder_identity` is `encoder`.
    """
    columns = {}
    for score in scores:
        if score.kind != "linear":
            continue
        setting, path = f"scores.{score.name}", Path(score.path)
        head = load_head(path, setting, encoder)
        probabilities = head.probabilities(vectors)
        if score.label:
            values = probabilities[:, head.labels.index(known_label(score.label, head.labels, path, setting))]
        else:
            numbers = np.array([label_value(label, path, setting) for label in head.labels], np.float32)
            values = numbers[probabilities.argmax(axis=1)]
        columns[score.name] = _column(np.where(embedded, values, np.nan).astype(np.float32))
    return pa.table(columns)


def score_reasons(table: pa.Table, scores: Sequence[Score]) -> pa.Array:
    """`score_<name>` of the first score outside its limits, else null; a document without a value stays."""
    reasons = pa.nulls(table.num_rows, pa.string())
    for score in scores:
        values = np.asarray(table[score.name].fill_null(np.nan))
        limits = (-np.inf if score.min is None else score.min, np.inf if score.max is None else score.max)
        # Limits as float32, like the values: 0.3 is then not below 0.3.
        out = (values < np.float32(limits[0])) | (values > np.float32(limits[1]))
        mine = pc.if_else(pa.array(out), pa.scalar(f"score_{score.name}"), pa.scalar(None, pa.string()))
        reasons = pc.coalesce(reasons, mine)
    return reasons


_LINES = {"fasttext": line_of, "climb": climb_line}


def _column(values: npt.NDArray[np.float32]) -> pa.Array:
    return pa.array(values, pa.float32(), mask=np.isnan(values))
