"""Tests that the dataset must not hold: their items from JSONL, and the index of their n-grams.

An item is looked for as its question with the right answer. Pages also print a question above all its choices, so that
what follows it is the first of them: that is a second reading, which ends before it could accuse a wrong answer alone.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt

from pipelines.contamination.index import NgramIndex
from pipelines.digest import file_digest
from pipelines.errors import InputError, SettingsError
from pipelines.settings import Decontamination, EvalSet
from pipelines.tasks import place_of
from pipelines.text.words import exact_chunk


@dataclass(frozen=True)
class Item:
    """One item of a test; its text is the fields in a row, of a list of choices the right one."""

    task: str
    id: str
    text: str
    listed: str = ""  # what stands before its choices, and as much of all of them as one n-gram may hold with it


@dataclass(frozen=True)
class Evaluations:
    """The items of all sets and the index of their texts' n-grams; `item_of` is each text's item, int64 [texts]."""

    items: Sequence[Item]
    item_of: npt.NDArray[np.int64]
    index: NgramIndex


def fingerprint(settings: Decontamination) -> dict[str, str]:
    """{task: digest of its file}: what the columns depend on beside the settings."""
    return {one.name: file_digest(_existing(one)) for one in settings.sets}


def load(settings: Decontamination) -> Evaluations:
    """The sets' items and index, once a process.

    Raises SettingsError for a file that is absent, InputError for one that is not wholly readable.
    """
    late = {"min_share": 0.0, "action": "drop"}  # these change verdicts, no columns
    return _loaded(settings.model_copy(update=late), tuple(sorted(fingerprint(settings).items())))


@lru_cache(maxsize=2)
def _loaded(settings: Decontamination, digests: tuple[tuple[str, str], ...]) -> Evaluations:
    items = [item for one in settings.sets for item in read_items(one, settings.ngram)]
    listed = [number for number, item in enumerate(items) if item.listed]
    index = NgramIndex([item.text for item in items], settings, again=[items[number].listed for number in listed])
    return Evaluations(items, np.array([*range(len(items)), *listed], np.int64), index)


def read_items(one: EvalSet, ngram: int = Decontamination().ngram) -> list[Item]:
    """The items of a set, in the order of the file; `ngram` is the most words in a row that are looked for.

    A line that cannot be read is an InputError and not a loss: what is not looked for would pass as clean.
    """
    path, items = _existing(one), list[Item]()
    try:
        with fsspec.open(str(path), "rb", compression="infer") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    items.append(_item(line, one, f"{path}:{number}", ngram))
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: {one.name!r} cannot be read to its end: {error}") from error
    if not any(item.text for item in items):
        raise InputError(f"{path}: no item has text in any of {', '.join(one.fields)}; set the set's `fields`")
    return items


def _item(line: bytes, one: EvalSet, place: str, ngram: int) -> Item:
    try:
        record = json.loads(line.decode("utf-8-sig"))
        identity = record.get("id")
        named = place.rpartition(":")[2] if identity is None else str(identity)
        return Item(one.name, named, *item_texts(record, one.fields, ngram))
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{place}: an item of {one.name!r} is a JSON object on a line: {error}") from None


def item_texts(record: dict[str, Any], fields: Sequence[str], ngram: int) -> tuple[str, str]:
    """(text, listed) of an item, which are the same whether its answer is a place, a letter or a text.

    The text is its fields in a row, of a list the entry that `answer` names, else all; an answer that only names one is
    not read itself. `listed` is what stands before such a list, with the first `ngram` - 1 words of all its entries;
    empty where nothing does, or where it is the text.
    """
    lists = {name: record[name] for name in fields if isinstance(record.get(name), list)}
    places = {name: _place(record.get("answer"), entries) for name, entries in lists.items()}
    named = any(place is not None for place in places.values())
    before, listed = list[str](), ""
    for name in fields:
        if name == "answer" and named:
            continue
        place, every = places.get(name), _joined(record.get(name))
        if place is not None and before:
            listed = " ".join([*before, *_first_words(every, ngram - 1)])
        value = every if place is None else _joined(lists[name][place : place + 1])
        before += [value] if value else []
    text = " ".join(before)
    return text, "" if listed == text else listed


def _place(answer: Any, entries: Sequence[Any]) -> int | None:
    return place_of(answer, [entry.strip() if isinstance(entry, str) else "" for entry in entries])


def _joined(value: Any) -> str:
    """A text, or those of a list in a row; nothing of anything else."""
    texts = [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]
    return " ".join(texts).encode("utf-8", "replace").decode()  # JSON may hold half a surrogate pair


def _first_words(text: str, num: int) -> list[str]:
    words = (word for chunk in text.split() for word in exact_chunk(chunk))
    return list(islice(words, num))


def _existing(one: EvalSet) -> Path:
    path = Path(one.path).expanduser()
    if not path.is_file():
        raise SettingsError(f"decontamination.sets: {one.name!r} is to be read from {path}, which is no file")
    return path
