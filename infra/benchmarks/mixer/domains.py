"""Twelve domains of real text as token pools, and two held-out targets, each in two halves by document.

narrow    documents of mathematics, none of which are in the pools
broad     the texts of public evaluations, question and right answer; every evaluation counts alike

The search sees a target's first half, final comparisons the second. Which domain a stretch of the target is nearest to
is said by the tokens it is made of: the one under whose shares of tokens it is likeliest.
"""

import gzip
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mixer.proxies.data import Evaluation
from pipelines.tokens import Tokenizer, encode, load_tokenizer, train_bpe

DOMAINS = (
    *("dictionary", "docs_mathematics", "docs_music_audio", "docs_programming", "encyclopedia_en", "encyclopedia_es"),
    *("law_licences", "literature", "math_problems", "political_speeches", "religion", "source_code"),
)
NARROW = ("docs_mathematics", "math_problems")
HELD_OUT = 10  # one document in so many of the narrow target's domains
VOCABULARY = 1024  # a proxy of width 64 spends most of its time on the output matrix
STRETCH = 256  # tokens of a target that count as one where the nearest domain is asked for
TOKENIZER_BYTES = 300_000  # of each domain
SPLITS = SEARCH, FINAL = "search", "final"
TARGETS = ("narrow", "broad")


@dataclass(frozen=True, eq=False)
class World:
    """`pools`: tokens of each domain; `evaluations` by "search/narrow" and so on; `nearest`: shares of domains."""

    pools: list[np.ndarray]
    evaluations: dict[str, Evaluation]
    nearest: dict[str, np.ndarray]

    @property
    def token_counts(self) -> tuple[int, ...]:
        return tuple(len(pool) for pool in self.pools)

    def data(self, split: str) -> str:
        """What trials of one half are trained and measured on, for their keys."""
        sizes = [*self.token_counts, *(held.num_bytes for held in self.half(split).values())]
        return f"{split}-{VOCABULARY}-{hashlib.blake2b(repr(sizes).encode(), digest_size=6).hexdigest()}"

    def half(self, split: str) -> dict[str, Evaluation]:
        return {name: held for name, held in self.evaluations.items() if name.startswith(f"{split}/")}


def world(data: Path, work: Path, max_documents: int | None = None) -> World:
    """Pools and targets; tokens are kept in the work folder, so that a second call reads them."""
    folder = work / f"domains-{VOCABULARY}-{max_documents or 'all'}"
    documents = {name: list(_texts(data / "domains" / f"{name}.jsonl.gz", max_documents)) for name in DOMAINS}
    path = folder / "tokenizer.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        seen = (text for name in DOMAINS for text in _up_to(documents[name], TOKENIZER_BYTES))
        path.write_bytes(train_bpe(seen, vocabulary=VOCABULARY))
    tokenizer = load_tokenizer(path.read_bytes())
    held: list[str] = []
    pools = []
    for name in DOMAINS:
        texts = documents[name]
        if name in NARROW:
            held += texts[::HELD_OUT]
            texts = [text for row, text in enumerate(texts) if row % HELD_OUT]
        pools.append(_kept(folder / f"{name}.npy", tokenizer, texts))
    groups = {"narrow": {"": held}, "broad": _evaluation_texts(data / "evals", max_documents)}
    evaluations, nearest = {}, {}
    for target, parts in groups.items():
        for number, split in enumerate((SEARCH, FINAL)):
            halves = [texts[number::2] for texts in parts.values()]
            made = [Evaluation(_flat(tokenizer, texts), sum(len(t.encode()) for t in texts)) for texts in halves]
            evaluations[f"{split}/{target}"] = made[0] if len(made) == 1 else Evaluation.macro(made)
            if split == SEARCH:
                nearest[target] = _nearest(pools, evaluations[f"{split}/{target}"])
    return World(pools, evaluations, nearest)


def _texts(path: Path, most: int | None) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from (json.loads(line)["text"] for line in islice(file, most))


def _up_to(texts: list[str], num_bytes: int) -> Iterator[str]:
    """Texts from all over the list, until so many bytes are told."""
    total = 0
    for row in np.random.default_rng(0).permutation(len(texts)):
        yield texts[row]
        total += len(texts[row].encode())
        if total >= num_bytes:
            return


def _evaluation_texts(folder: Path, most: int | None) -> dict[str, list[str]]:
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in islice(file, most)]
        found[path.stem] = [f"{row['question']} {_answer(row)}" for row in rows]
    return found


def _answer(row: dict[str, Any]) -> str:
    return str(row["choices"][row["answer"]] if row["choices"] else row["answer"])


def _flat(tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    return np.asarray(encode(tokenizer, texts).flatten())


def _kept(path: Path, tokenizer: Tokenizer, texts: list[str]) -> np.ndarray:
    if not path.exists():
        half = path.with_suffix(".half.npy")
        np.save(half, _flat(tokenizer, texts))
        half.rename(path)
    return np.load(path, mmap_mode="r")


def _nearest(pools: list[np.ndarray], texts: Evaluation) -> np.ndarray:
    """(domains,) the share of the text's stretches that are likeliest under each domain's shares of tokens."""
    if texts.groups:
        return np.mean([_nearest(pools, group) for group in texts.groups], axis=0)
    counts = np.array([np.bincount(pool[:2_000_000], minlength=VOCABULARY) + 0.5 for pool in pools])
    logs = np.log(counts / counts.sum(axis=1, keepdims=True))
    ends = np.arange(STRETCH, len(texts.tokens), STRETCH)
    bags = np.array([np.bincount(part, minlength=VOCABULARY) for part in np.split(texts.tokens, ends)])
    found = np.bincount((bags @ logs.T).argmax(axis=1), minlength=len(pools))
    return found / found.sum()
