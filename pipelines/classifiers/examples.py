"""Labelled examples from JSONL: read, without copies, and split so that no text is on both sides.

Copies are texts of the same words, whatever their case, punctuation, diacritics and spaces. A copy counts once; copies
with different labels teach nothing and go. The split follows from a text's words, never from its place in a file.
"""

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import xxhash

from pipelines.classifiers.models import LABEL
from pipelines.errors import InputError
from pipelines.text.vocabulary import ChunkWords, Vocabulary
from pipelines.text.words import exact_chunk

TRAIN, HELD_OUT = "train", "held_out"
SPLITS = {"train": TRAIN} | dict.fromkeys(("held_out", "test", "valid", "validation", "dev"), HELD_OUT)
MAX_NAMED = 20  # bad lines that are named


@dataclass(frozen=True)
class Example:
    """A text with its label; `split` is TRAIN, HELD_OUT or, before `divided`, "" for one to be decided."""

    text: str
    label: str
    weight: float = 1.0
    split: str = ""


@dataclass
class Examples:
    """What the files hold: the examples, in the order of their words' digests, and what was left out."""

    read: int = 0
    kept: list[Example] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)  # by reason
    bad: list[str] = field(default_factory=list)  # the first bad lines: file:line: reason

    def of(self, split: str) -> list[Example]:
        return [example for example in self.kept if example.split == split]


def read_examples(files: Sequence[Path], held_out: float, seed: int) -> Examples:
    """The examples of all files, divided; the same whatever the order of files and lines.

    A line is {"text", "label"} with, if one likes, "weight" (above 0) and "split" (train, or test and its synonyms,
    else `held_out` of the texts are). Copies weigh what the heaviest does, and are held out if one of them is. A bad
    line is counted and named. InputError where fewer than two labels are left on either side.
    """
    found = Examples()
    lines = [example for path in files for example in _lines(Path(path).expanduser(), found)]
    copies: dict[bytes, list[Example]] = {}
    for key, example in zip(_digests([example.text for example in lines]), lines, strict=True):
        if key is None:
            found.dropped["no_words"] += 1
        else:
            copies.setdefault(key, []).append(example)
    for key, same in sorted(copies.items()):
        if len({example.label for example in same}) > 1:
            found.dropped["labels_differ"] += len(same)
            continue
        found.dropped["copy"] += len(same) - 1
        found.kept.append(_one(same, _side(key, held_out, seed)))
    _enough(found)
    return found


def _lines(path: Path, found: Examples) -> Iterator[Example]:
    if not path.is_file():
        raise InputError(f"{path} is no file; give JSONL with `text` and `label` on every line")
    try:
        with fsspec.open(str(path), "rb", compression="infer") as file:
            for number, line in enumerate(file, 1):
                found.read += 1
                try:
                    yield _example(json.loads(line.decode()))
                except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
                    found.dropped["bad_line"] += 1
                    if len(found.bad) < MAX_NAMED:
                        found.bad.append(f"{path.name}:{number}: {_told(error)}")
    except (OSError, EOFError) as error:
        raise InputError(f"{path} cannot be read to its end: {error}") from error


def _told(error: Exception) -> str:
    return f"lacks {error}" if isinstance(error, KeyError) else str(error)


def _example(record: dict[str, Any]) -> Example:
    text, label = record["text"], record["label"]
    if not isinstance(text, str):
        raise TypeError(f"text is {text!r:.40}, no string")
    name = str(label).removeprefix(LABEL)
    if isinstance(label, bool) or not isinstance(label, str | int) or not name.isprintable() or len(name.split()) != 1:
        raise TypeError(f"label is {label!r:.40}, no single word or whole number")
    weight, split = record.get("weight", 1), record.get("split") or ""
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < math.inf:
        raise ValueError(f"weight is {weight!r:.40}, no number above 0")
    if split not in ("", *SPLITS):
        raise ValueError(f"split is {split!r:.40}, none of {', '.join(SPLITS)}")
    text = text.encode("utf-8", "replace").decode()  # JSON may hold half a surrogate pair
    return Example(text, name.strip(), float(weight), SPLITS.get(split, ""))


def _digests(texts: Sequence[str]) -> list[bytes | None]:
    """128 bits of each text's words; None for one without words."""
    cutter = ChunkWords(Vocabulary(), lambda chunk: tuple(exact_chunk(chunk)))
    words, offsets = cutter.flat(cutter.vocabulary.read(pa.array(texts, pa.large_string())))
    values = np.array([xxhash.xxh3_64_intdigest(word.encode()) for word in cutter.spelled()], np.uint64)[words]
    bounds = offsets.tolist()
    return [
        xxhash.xxh3_128_digest(values[start:end].tobytes()) if end > start else None
        for start, end in itertools.pairwise(bounds)
    ]


def _side(key: bytes, held_out: float, seed: int) -> str:
    return HELD_OUT if xxhash.xxh3_64_intdigest(key, seed) < held_out * 2**64 else TRAIN


def _one(same: Sequence[Example], side: str) -> Example:
    """Copies as one, the same whatever their order."""
    sides = {example.split for example in same} - {""}
    split = HELD_OUT if HELD_OUT in sides else TRAIN if TRAIN in sides else side
    weight = max(example.weight for example in same)
    return Example(min(example.text for example in same), same[0].label, weight, split)


def _enough(found: Examples) -> None:
    for split in (TRAIN, HELD_OUT):
        labels = {example.label for example in found.of(split)}
        if len(labels) < 2:
            raise InputError(
                f"of {found.read} lines, {len(found.of(split))} examples are left to {split.replace('_', ' ')} with "
                f"the labels {sorted(labels)}; two labels are needed. Left out: {dict(found.dropped)} {found.bad[:3]}"
            )
    unseen = {example.label for example in found.of(HELD_OUT)} - {example.label for example in found.of(TRAIN)}
    if unseen:
        raise InputError(f"the labels {sorted(unseen)} are only among the held-out examples; add some to train on")
