"""Multiple-choice tasks that a mixture may serve: items from JSONL, and each of their choices as tokens.

A line is a JSON object:

    question        what stands before the answer
    choices         the answers; null or absent where `answer` is the only one, the end of a text
    answer          the right one: its place from 0, its letter from A, or its text
    continuation    where it is there, `choices` stand before it instead, and the question is left out (WinoGrande)
    id              any name; the line's number where there is none

A context is the setting `prompt` with the question in it; one space joins it to the answer, and tokens are those of
lm-evaluation-harness: the answer's are what the context's leave of both together. An item is in the half that the
search sees, or in the one for the final comparison, by its contexts, so that questions on one passage stay together.
"""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow as pa

from pipelines.duplicates.minhash import content_hash
from pipelines.errors import InputError
from pipelines.settings import Task

if TYPE_CHECKING:
    from pipelines.tokens import Tokenizer

BATCH = 1000  # texts encoded at once; changes no token

CHOICES = pa.schema(  # a row for each choice, those of an item together, items in their task's order
    [
        pa.field("task", pa.string()),
        pa.field("split", pa.string()),  # search, final
        pa.field("number", pa.int32()),  # of the item in its task
        pa.field("item", pa.string()),
        pa.field("right", pa.bool_()),
        pa.field("context", pa.list_(pa.uint32())),
        pa.field("answer", pa.list_(pa.uint32())),
        pa.field("chars", pa.int32()),  # of the answer's text, without the space before it
        pa.field("num_bytes", pa.int32()),
    ]
)


@dataclass(frozen=True, slots=True)
class Item:
    """One question: a context and an answer for each choice, of which `right` is the right one."""

    id: str
    contexts: tuple[str, ...]
    answers: tuple[str, ...]
    right: int

    @property
    def text(self) -> str:
        """The context with the right answer."""
        return f"{self.contexts[self.right]} {self.answers[self.right]}".strip()

    @property
    def split(self) -> str:
        return "search" if content_hash("\n".join(dict.fromkeys(self.contexts)))[0] < 128 else "final"


def read_items(task: Task) -> list[Item]:
    """The task's items, every one once, at most `max_items` of each split: those of the smallest hashes.

    InputError naming the line that is none, or a split without items.
    """
    found: dict[bytes, Item] = {}
    try:
        with fsspec.open(task.path, "rt", encoding="utf-8-sig", compression="infer") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    item = _item(line, task, number)
                    found.setdefault(content_hash("\n".join((*item.contexts, *item.answers))), item)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InputError(f"tasks.{task.name}: {task.path} cannot be read to its end: {error}") from None
    kept: dict[str, list[Item]] = {"search": [], "final": []}
    for _, item in sorted(found.items()):
        if len(kept[item.split]) < task.max_items:
            kept[item.split].append(item)
    if not all(kept.values()):
        counts = " and ".join(f"{len(items)} for {split}" for split, items in kept.items())
        raise InputError(f"tasks.{task.name}: {task.path} has {counts}; it needs some in both halves")
    return kept["search"] + kept["final"]


def place_of(answer: Any, texts: Sequence[str]) -> int | None:
    """The place of the choice that `answer` names by its place from 0, its text or its letter from A; None: of none."""
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(texts):
        return answer
    if isinstance(answer, str) and answer.strip() in texts:
        return texts.index(answer.strip())
    letter = ord(answer) - ord("A") if isinstance(answer, str) and len(answer) == 1 else -1
    return letter if 0 <= letter < len(texts) else None


def choices(name: str, items: Sequence[Item], tokenizer: "Tokenizer") -> pa.Table:
    """The rows of CHOICES of a task's items."""
    pairs = [pair for item in items for pair in zip(item.contexts, item.answers, strict=True)]
    encoded = list(_encoded(pairs, tokenizer))
    answers = [answer for _, answer in pairs]
    columns = [
        [name] * len(pairs),
        [item.split for item in items for _ in item.answers],
        [number for number, item in enumerate(items) for _ in item.answers],
        [item.id for item in items for _ in item.answers],
        [place == item.right for item in items for place in range(len(item.answers))],
        [context for context, _ in encoded],
        [answer for _, answer in encoded],
        [len(answer) for answer in answers],
        [len(answer.encode()) for answer in answers],
    ]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, CHOICES, strict=True)]
    return pa.Table.from_arrays(arrays, schema=CHOICES)


def _encoded(pairs: Sequence[tuple[str, str]], tokenizer: "Tokenizer") -> Iterator[tuple[list[int], list[int]]]:
    """Ids of each context and answer. Both are encoded as one text, since tokens may reach over the space."""
    for first in range(0, len(pairs), BATCH):
        some = pairs[first : first + BATCH]
        whole = _ids([f"{context} {answer}" for context, answer in some], tokenizer)
        before = _ids([context for context, _ in some], tokenizer)
        for (_, answer), both, context in zip(some, whole, before, strict=True):
            if not context:  # nothing stands before the answer: a text begins
                yield [tokenizer.end_of_text], both
            else:
                yield context, both[len(context) :] or _ids([f" {answer}"], tokenizer)[0]


def _ids(texts: Sequence[str], tokenizer: "Tokenizer") -> list[list[int]]:
    return [encoding.ids for encoding in tokenizer.library.encode_batch_fast(texts, add_special_tokens=False)]


def _item(line: str, task: Task, number: int) -> Item:
    place = f"tasks.{task.name}: {task.path}:{number}"
    try:
        record = json.loads(line)
        listed, answer = record.get("choices"), record["answer"]
        texts = [_text(choice) for choice in listed] if listed else [_text(answer)]
        right = _place(answer, texts) if listed else 0
        ending = record.get("continuation")
        befores = texts if ending is not None else [_text(record["question"])] * len(texts)
        answers = [_text(ending)] * len(texts) if ending is not None else texts
        if not all(answers):
            raise ValueError("an answer is empty")
        identity = record.get("id")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"{place}: an item is a JSON object with `question`, `choices` and `answer` (a place from 0, a letter or"
            f" the text): {error!r}"
        ) from None
    contexts = tuple(task.prompt.replace("{question}", before).rstrip() for before in befores)
    return Item(str(number) if identity is None else str(identity), contexts, tuple(answers), right)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is no text")
    return value.encode("utf-8", "replace").decode().strip()  # JSON may hold half a surrogate pair


def _place(answer: Any, texts: Sequence[str]) -> int:
    place = place_of(answer, texts)
    if place is None:
        raise ValueError(f"answer = {answer!r:.40} is none of {len(texts)} choices")
    return place
