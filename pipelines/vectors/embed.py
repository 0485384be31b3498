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

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import cache as remembered
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipelines.digest import digest_of, file_digest, versions
from pipelines.errors import InputError
from pipelines.settings import Embeddings
from pipelines.vectors.models import (
    model_digest,
    model_folder,
    one_thread_of_tokenizers,
    one_thread_of_torch,
    quiet,
    unusable,
)

DISTIL_VERSION = 1  # raise when the distillation below changes
CHARS_PER_TOKEN = 8  # text beyond max_tokens * 8 characters is not even tokenised
STATIC_BATCH = 1024  # documents tokenised at once; changes nothing in the vectors

DISTIL_LIBRARIES = ("model2vec", "numpy", "scikit-learn", "skeletoken", "tokenizers", "torch", "transformers")
STATIC_LIBRARIES = ("numpy", "scipy", "tokenizers")
TRANSFORMER_LIBRARIES = ("sentence-transformers", "tokenizers", "torch", "transformers")

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
    model = model_digest(model_folder(settings.model))
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

        one_thread_of_tokenizers()
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
    source = model_folder(settings.model)
    recipe = {
        "model": model_digest(source),
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
        with quiet(), one_thread_of_torch(), threadpool_limits(1):
            model = distill(
                str(source),
                device="cpu",
                pca_dims=settings.dimensions,
                trust_remote_code=settings.trust_remote_code,
            )
    except (OSError, ValueError) as error:
        raise InputError(unusable(settings, error)) from error
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

        one_thread_of_tokenizers()
        folder = model_folder(settings.model)
        self.digest = model_digest(folder)
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("engine.device = 'cuda', but torch sees no CUDA device; set it to 'auto' or 'cpu'")
        self._device = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        self._batch = 1 if self._device == "cpu" else settings.batch
        self._max_chars = CHARS_PER_TOKEN * settings.max_tokens
        try:
            with quiet():
                self._model = SentenceTransformer(
                    str(folder), device=self._device, trust_remote_code=settings.trust_remote_code
                )
        except (OSError, ValueError, ImportError, RuntimeError) as error:
            raise InputError(unusable(settings, error)) from error
        longest = self._model.max_seq_length
        self._model.max_seq_length = min(settings.max_tokens, longest) if longest else settings.max_tokens
        self.dimensions = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: list[str]) -> Vectors:
        encoded = np.zeros((len(texts), self.dimensions), dtype=np.float16)
        beginnings = [text[: self._max_chars] for text in texts]
        with quiet(), one_thread_of_torch(only=self._device == "cpu"):
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


def _unit_length(vectors: npt.NDArray[np.float32]) -> Vectors:
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float16)
