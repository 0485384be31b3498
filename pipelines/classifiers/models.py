"""Classifiers of documents: fastText models that read text, linear heads that read the embeddings' vectors.

A model is loaded once a process. How text is spelled for a fastText model matters: words that it was not trained on
are lost to it. `line_of` is the plain way (a newline is a space, as in DCLM), `climb_line` that of NVIDIA's.
"""

import difflib
import mmap
import struct
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.digest import digest_of
from pipelines.errors import InputError, SettingsError
from pipelines.settings import Embeddings

LABEL = "__label__"  # before every label in fastText's files
PUBLISHED_MARKS = ".!?,'/()"  # NVIDIA's classifiers were trained on text with spaces around these

Floats = npt.NDArray[np.float32]

_DICTIONARY = 92  # where the first entry of a fastText file lies


def line_of(text: str) -> str:
    """The text as one line: line ends are spaces, as DCLM's classifier was given it (Li et al. 2024, section 4.4)."""
    return " ".join(text.strip().splitlines()).replace("\0", " ")


def climb_line(text: str) -> str:
    """One line as the published classifiers read it (NeMo Curator's tutorial of Nemotron-CLIMB, step 3).

    `<newline>` gets no spaces of its own there, so "a\\nb" is one word; parted, the classifier would meet
    words that it was not trained on.
    """
    text = text.replace("\n", "<newline>")
    for mark in PUBLISHED_MARKS:
        text = text.replace(mark, f" {mark} ")
    return " ".join(text.lower().split())


# ---------------------------------------------------------------------------------------------------------
# fastText


class FastText:
    """A supervised fastText model (.bin or .ftz); InputError for anything else."""

    def __init__(self, path: Path, setting: str) -> None:
        import fasttext

        self.path, self.setting = path, setting
        try:
            self._model = fasttext.load_model(str(path))
            found, _ = self._model.predict("", k=-1)
        except (ValueError, RuntimeError, MemoryError) as error:
            raise InputError(f"{setting}: {path} is no supervised fastText model: {error}") from error
        self.labels = tuple(label.removeprefix(LABEL) for label in found)
        if len(self.labels) != num_labels(path):  # unlikely ones of a hierarchical softmax, or all for lack of words
            self.labels = tuple(labels_in(path))

    def numbers(self, lines: Sequence[str]) -> Floats:
        """float32 [n]: the number in each line's likeliest label, NaN where it has none; InputError for words."""
        scores = np.full(len(lines), np.nan, np.float32)
        for row, line in enumerate(lines):
            labels, _ = self._model.predict(line, k=1)
            if labels:
                scores[row] = label_value(labels[0], self.path, self.setting)
        return scores

    def probabilities(self, lines: Sequence[str], label: str) -> Floats:
        """float32 [n] in [0, 1]: the label's probability, NaN where no word of a line is known.

        InputError names the nearest label where there is no such one.
        """
        label = known_label(label, self.labels, self.path, self.setting)
        return self.distribution(lines)[:, self.labels.index(label)]

    def distribution(self, lines: Sequence[str]) -> Floats:
        """float32 [n, labels] in [0, 1]: all labels' probabilities, NaN where no word of a line is known."""
        scores = np.full((len(lines), len(self.labels)), np.nan, np.float32)
        column = {f"{LABEL}{label}": number for number, label in enumerate(self.labels)}
        for row, line in enumerate(lines):
            labels, probabilities = self._model.predict(line, k=-1)
            if labels:
                scores[row] = 0  # a hierarchical softmax leaves the unlikeliest out
                scores[row, [column[label] for label in labels]] = probabilities
        return np.clip(scores, 0, 1)  # fastText's own go a little over


def load_fasttext(path: str | Path, setting: str) -> FastText:
    """The model at a path, once a process; `setting` is named in errors."""
    found = existing(path, setting)
    stat = found.stat()
    return _fasttext(found, setting, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=8)
def _fasttext(path: Path, setting: str, *version: int) -> FastText:
    return FastText(path, setting)


def num_labels(path: Path) -> int:
    """Labels of a fastText file (format 12)."""
    with path.open("rb") as file:
        return int(struct.unpack_from("<i", file.read(_DICTIONARY), 72)[0])


def labels_in(path: Path) -> list[str]:
    """The labels of a fastText file (format 12), in its order; they follow the words in its dictionary."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        entries, labels, place = struct.unpack_from("<i", data, 64)[0], [], _DICTIONARY
        for _ in range(entries):
            end = data.find(b"\0", place)
            if data[end + 9]:  # after a count of 8 bytes, the kind: 0 a word, 1 a label
                labels.append(data[place:end].decode("utf-8", "replace").removeprefix(LABEL))
            place = end + 10
    return labels


def label_value(label: str, path: Path, setting: str) -> float:
    """-1.0 of `__label__-1`; InputError where a label is no number, as in a language model."""
    try:
        return float(label.removeprefix(LABEL))
    except ValueError:
        raise InputError(f"{setting}: {path} has the label {label!r}; labels must be numbers, as {LABEL}3") from None


def known_label(label: str, labels: Sequence[str], path: Path, setting: str) -> str:
    """The label without its prefix; InputError where the model lacks it."""
    label = label.removeprefix(LABEL)
    if label in labels:
        return label
    near = difflib.get_close_matches(label, labels, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(labels[:20])}"
    raise InputError(f"{setting}: {path} has no label {label!r}{hint}")


def existing(path: str | Path, setting: str) -> Path:
    """The path of a file that a setting names; SettingsError where there is none."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise SettingsError(f"{setting} names {path}, which is no file; download the classifier, or leave it out")
    return path


# ---------------------------------------------------------------------------------------------------------
# Linear heads


@dataclass(frozen=True)
class LinearHead:
    """Softmax regression on vectors of one encoder; with two labels, the first one's row is zero."""

    labels: tuple[str, ...]
    weights: Floats  # [labels, dimensions]
    bias: Floats  # [labels]
    encoder: str  # `encoder_identity` of the vectors that it was trained on

    def probabilities(self, vectors: npt.NDArray[Any]) -> Floats:
        """float32 [n, labels]"""
        logits = vectors.astype(np.float32) @ self.weights.T + self.bias
        logits = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(logits) else logits
        return np.asarray(logits / logits.sum(axis=1, keepdims=True), np.float32)

    def save(self, path: Path) -> None:
        """Plain arrays in an .npz, the same bytes for the same head."""
        with path.open("wb") as file:
            np.savez(
                file, labels=np.array(self.labels, str), weights=self.weights, bias=self.bias,
                encoder=np.array(self.encoder),
            )  # fmt: skip


def load_head(path: str | Path, setting: str, encoder: str) -> LinearHead:
    """The head at a path, for vectors of `encoder`; InputError for no head, and for one of another encoder."""
    found = existing(path, setting)
    try:
        with found.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            head = LinearHead(
                tuple(map(str, arrays["labels"])), arrays["weights"].astype(np.float32),
                arrays["bias"].astype(np.float32), str(arrays["encoder"]),
            )  # fmt: skip
        if head.weights.ndim != 2 or head.bias.shape != (len(head.labels),) or len(head.weights) != len(head.labels):
            raise ValueError("its arrays do not fit together")
    except (ValueError, KeyError, OSError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{setting}: {found} is no linear head, as `train-classifier` writes: {error}") from None
    if head.encoder != encoder:
        raise InputError(
            f"{setting}: {found} was trained on vectors of another encoder ({head.encoder}, not {encoder}); "
            "train it again on the encoder in [embeddings], or set that back"
        )
    return head


def encoder_identity(settings: Embeddings) -> str:
    """32 hex digits: what makes vectors comparable, the model and how text is read, not libraries' versions."""
    from pipelines.vectors.embed import DISTIL_VERSION
    from pipelines.vectors.models import model_digest, model_folder

    static = settings.encoder == "static"
    return digest_of(
        {
            "encoder": settings.encoder,
            "model": model_digest(model_folder(settings.model)),
            "max_tokens": settings.max_tokens,
            "static": [DISTIL_VERSION, settings.dimensions] if static else None,
        }
    )[:32]
