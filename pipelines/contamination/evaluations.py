"""Tests that the dataset must not hold: their items from JSONL, and the index of their n-grams."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import fsspec

from pipelines.contamination.index import NgramIndex
from pipelines.digest import file_digest
from pipelines.errors import InputError, SettingsError
from pipelines.settings import Decontamination, EvalSet


@dataclass(frozen=True)
class Item:
    """One item of a test; its text is the fields in a row."""

    task: str
    id: str
    text: str


@dataclass(frozen=True)
class Evaluations:
    """The items of all sets and the index of their n-grams."""

    items: Sequence[Item]
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
    items = [item for one in settings.sets for item in read_items(one)]
    return Evaluations(items, NgramIndex([item.text for item in items], settings))


def read_items(one: EvalSet) -> list[Item]:
    """The items of a set, in the order of the file.

    A line that cannot be read is an InputError and not a loss: what is not looked for would pass as clean.
    """
    path, items = _existing(one), list[Item]()
    try:
        with fsspec.open(str(path), "rb", compression="infer") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    items.append(_item(line, one, f"{path}:{number}"))
    except (OSError, EOFError) as error:
        raise InputError(f"{path}: {one.name!r} cannot be read to its end: {error}") from error
    if not any(item.text for item in items):
        raise InputError(f"{path}: no item has text in any of {', '.join(one.fields)}; set the set's `fields`")
    return items


def _item(line: bytes, one: EvalSet, place: str) -> Item:
    try:
        record = json.loads(line.decode("utf-8-sig"))
        identity = record.get("id")
        return Item(
            one.name, place.rpartition(":")[2] if identity is None else str(identity), item_text(record, one.fields)
        )
    except (ValueError, AttributeError, RecursionError) as error:
        raise InputError(f"{place}: an item of {one.name!r} is a JSON object on a line: {error}") from None


def item_text(record: dict[str, Any], fields: Sequence[str]) -> str:
    """The item's fields in a row. Of a list, the entry that `answer` points at, by place or by letter, else all."""
    values = [_field(record.get(name), record.get("answer")) for name in fields]
    text = " ".join(value for value in values if value)
    return text.encode("utf-8", "replace").decode()  # JSON may hold half a surrogate pair


def _field(value: Any, answer: Any) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    place = answer if isinstance(answer, int) and not isinstance(answer, bool) else None
    if isinstance(answer, str) and len(answer) == 1 and answer.isascii() and answer.isupper():
        place = ord(answer) - ord("A")
    chosen = [value[place]] if place is not None and 0 <= place < len(value) else value
    return " ".join(entry for entry in chosen if isinstance(entry, str))


def _existing(one: EvalSet) -> Path:
    path = Path(one.path).expanduser()
    if not path.is_file():
        raise SettingsError(f"decontamination.sets: {one.name!r} is to be read from {path}, which is no file")
    return path
