"""Documents of real text with graded copies: what deduplication is measured on.

About 100 words each in lines of ten, cut from the texts of domains/*.jsonl.gz. Half of the documents are alone; the
others are copies of a base with 0 to 12 edits (a word replaced, put in or left out; sometimes a line dropped), so
that exact similarities to the base spread over 0.2 to 1. Group sizes are 2 to 40. The same for the same numbers.
"""

import gzip
import json
import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

WORDS = 100
LINE = 10
SHARD = 50_000
SIZES = (2, 2, 2, 2, 3, 3, 4, 6, 10, 40)
DOMAINS = ("literature", "political_speeches", "religion", "docs_sysadmin", "docs_databases", "docs_mathematics",
           "docs_programming", "encyclopedia_en", "dictionary", "docs_politics_philosophy", "docs_security_networking",
           "docs_astronomy", "docs_office", "docs_graphics", "law_licences", "docs_music_audio")  # fmt: skip


def shards(data: Path, work: Path, num_documents: int) -> list[Path]:
    """JSONL files (id, source, base, text), made once: a document's group is its `base`."""
    folder = work / f"graded-{num_documents}"
    paths = [folder / f"{number:05d}.jsonl" for number in range(-(-num_documents // SHARD))]
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(2) as pool:
            list(pool.map(partial(_write, data, num_documents), paths))
    return paths


def _write(data: Path, num_documents: int, path: Path) -> None:
    words = _corpus(data)
    bases, copies = plan(num_documents)
    begin = int(path.stem) * SHARD
    torn = path.with_suffix(".tmp")
    with torn.open("w", encoding="utf-8") as file:
        for number in range(begin, min(begin + SHARD, num_documents)):
            base, copy = int(bases[number]), int(copies[number])
            row = {
                "id": f"{number}",
                "url": f"{number}",
                "source": f"site-{base % 997}",
                "base": base,
                "text": document(words, base, copy),
            }
            file.write(json.dumps(row) + "\n")
    torn.rename(path)


def plan(num_documents: int) -> tuple[np.ndarray, np.ndarray]:
    """(base, copy) of each document, in a shuffled order; copy 0 is the base itself."""
    numbers = np.random.default_rng(7)
    sizes = np.where(numbers.random(num_documents) < 0.88, 1, numbers.choice(SIZES, num_documents))
    bases = np.repeat(np.arange(num_documents), sizes)[:num_documents]
    first = np.concatenate([[0], np.cumsum(sizes)])[bases]
    order = numbers.permutation(num_documents)
    return bases[order], (np.arange(num_documents) - first)[order]


def document(words: list[str], base: int, copy: int) -> str:
    chosen = _window(words, base)
    if copy:
        chance = random.Random(f"{base} {copy}")
        for _ in range(chance.randrange(13)):
            place = chance.randrange(len(chosen))
            kind = chance.random()
            if kind < 0.6:
                chosen[place] = words[chance.randrange(len(words))]
            elif kind < 0.75:
                chosen.insert(place, words[chance.randrange(len(words))])
            elif kind < 0.9:
                del chosen[place]
            else:
                del chosen[place - place % LINE :][:LINE]
    lines = (chosen[place : place + LINE] for place in range(0, len(chosen), LINE))
    return "\n".join(" ".join(line) for line in lines)


def _window(words: list[str], base: int) -> list[str]:
    """The first windows do not overlap; when they are used up, later ones are half of one and half of another."""
    whole = len(words) // WORDS
    if base < whole:
        return words[base * WORDS : (base + 1) * WORDS]
    half, step = WORDS // 2, 1 + base // whole
    left, right = base % whole, (base * 31 + step) % whole
    return words[left * WORDS : left * WORDS + half] + words[right * WORDS + half : (right + 1) * WORDS]


def _corpus(data: Path) -> list[str]:
    return [word for name in DOMAINS for text in _texts(data / "domains" / f"{name}.jsonl.gz") for word in text.split()]


def _texts(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)["text"]
