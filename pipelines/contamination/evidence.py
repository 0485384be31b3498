"""Contamination: documents that hold the items of tests, what becomes of them, and the check that none is left.

The rule is GPT-3's (Brown et al. 2020, appendix C): an item and a document that share `ngram` words in a row, 13 by
default; pipelines/contamination/index.py has what a word is and how shorter items are looked for. The columns keep all
evidence, so that the rule (`min_share`, `action`) is applied late and changed in seconds.

A translated or reworded item is not found, and a text that a test quotes (a speech, a poem, a licence) is found
wherever it stands: the report names the documents, so that one can look.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.contamination.evaluations import Evaluations, load
from pipelines.contamination.index import Hits
from pipelines.settings import Decontamination

REASON = "contaminated"
MAX_EXAMPLES = 20  # of a task in a report, and of a check
EXCERPT_CHARS = 300

SPAN = pa.struct(
    [
        pa.field("start", pa.int32(), nullable=False),  # bytes of the UTF-8 text
        pa.field("end", pa.int32(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("share", pa.float32(), nullable=False),  # of the item's n-grams, that the document holds
    ]
)
SCHEMA = pa.schema(
    [
        pa.field("contaminated_by", pa.list_(pa.string())),  # tasks, sorted
        pa.field("contaminated_share", pa.float32()),  # the largest of its spans' shares, 0 without any
        pa.field("contaminated_ngrams", pa.int32()),  # different n-grams of tests that it holds
        pa.field("contaminated_spans", pa.list_(SPAN)),
    ]
)


@dataclass
class TaskReport:
    """What was found of one test."""

    items: int
    skipped: int  # items that are not looked for: too short, or set phrases only
    found: int = 0  # items with an n-gram in a document
    documents: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)  # {document, item, share}, the largest shares first

    @property
    def share(self) -> float:
        """Of the items that were looked for."""
        return self.found / max(1, self.items - self.skipped)


@dataclass(frozen=True)
class Violation:
    """A text of the dataset that holds part of a test."""

    shard: str
    row: int
    task: str
    item: str
    share: float
    excerpt: str


@dataclass(frozen=True)
class Check:
    """What `check_dataset` saw: `documents` read, `contaminated` of them, and the first violations in order."""

    documents: int
    contaminated: int
    by_task: dict[str, int]
    examples: Sequence[Violation]


# ---------------------------------------------------------------------------------------------------------
# Columns, reasons, report


def contamination(texts: pa.Array | pa.ChunkedArray, settings: Decontamination) -> pa.Table:
    """The columns of SCHEMA for texts (string or large_string); spans are bytes of just these texts."""
    tests = load(settings)
    return _columns(tests, tests.index.find(texts), len(texts))


def reasons(table: pa.Table, settings: Decontamination) -> pa.Array:
    """REASON or null for each row of the columns.

    A document is contaminated by an item of which it holds at least `min_share` of the n-grams, and one at least.
    """
    share = np.asarray(table["contaminated_share"])
    guilty = (share > 0) & (share >= settings.min_share)
    if settings.action == "report":
        guilty[:] = False
    return pc.if_else(pa.array(guilty), pa.scalar(REASON), pa.scalar(None, pa.string()))


def report(parts: Iterable[tuple[pa.Array, pa.Table]], settings: Decontamination) -> dict[str, TaskReport]:
    """By task, from (ids, columns) of each part, in any order."""
    tests = load(settings)
    found = {one.name: TaskReport(0, 0) for one in settings.sets}
    num_ngrams = np.bincount(tests.item_of, tests.index.num_ngrams, minlength=len(tests.items))
    for item, count in zip(tests.items, num_ngrams.tolist(), strict=True):
        found[item.task].items += 1
        found[item.task].skipped += count == 0
    touched: dict[tuple[str, str], tuple[float, str]] = {}
    for ids, table in parts:
        for row in np.flatnonzero(np.asarray(table["contaminated_share"])).tolist():
            key = ids[row].as_py()
            name = key.hex() if isinstance(key, bytes) else str(key)
            for task in table["contaminated_by"][row].as_py():
                found[task].documents += 1
            for span in table["contaminated_spans"][row].as_py():
                place, here = (span["task"], span["item"]), (span["share"], name)
                best = touched.get(place, here)
                touched[place] = min(best, here, key=lambda one: (-one[0], one[1]))
    for (task, identity), (share, name) in sorted(touched.items(), key=lambda one: (-one[1][0], one[0])):
        found[task].found += 1
        if len(found[task].examples) < MAX_EXAMPLES:
            found[task].examples.append({"document": name, "item": identity, "share": share})
    return found


@dataclass(frozen=True)
class _Spans:
    """Stretches of documents that hold n-grams of an item, in the documents' order."""

    documents: npt.NDArray[np.int64]
    items: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    shares: npt.NDArray[np.float32]


def _columns(tests: Evaluations, hits: Hits, num_texts: int) -> pa.Table:
    spans = _spans(tests, hits)
    items = [tests.items[number] for number in spans.items.tolist()]
    values = [
        pa.array(spans.starts, pa.int32()),
        pa.array(spans.ends, pa.int32()),
        pa.array([item.task for item in items], pa.string()),
        pa.array([item.id for item in items], pa.string()),
        pa.array(spans.shares, pa.float32()),
    ]
    largest = np.zeros(num_texts, np.float32)
    np.maximum.at(largest, spans.documents, spans.shares)
    by = sorted(set(zip(spans.documents.tolist(), (item.task for item in items), strict=True)))
    keys = tests.index.keys[hits.ngrams]
    order = np.lexsort((keys, hits.documents))
    of_key, keys = hits.documents[order], keys[order]
    first = _changes(of_key, keys)
    columns = [
        _lists(pa.array([task for _, task in by], pa.string()), np.array([row for row, _ in by], np.int64), num_texts),
        pa.array(largest),
        pa.array(np.bincount(of_key[first], minlength=num_texts), pa.int32()),
        _lists(pa.StructArray.from_arrays(values, fields=list(SPAN)), spans.documents, num_texts),
    ]
    return pa.table(columns, schema=SCHEMA)


def _spans(tests: Evaluations, hits: Hits) -> _Spans:
    """The windows of one item in one document as spans: those that touch or overlap are one.

    The share is the largest of the item's texts.
    """
    index = tests.index
    which, texts = index.items_of(hits.ngrams)
    items = tests.item_of[texts]
    order = np.lexsort((texts, hits.places[which], items, hits.documents[which]))
    which, texts, items = which[order], texts[order], items[order]
    documents, ngrams, begins = hits.documents[which], hits.ngrams[which], hits.places[which]
    new_pair = _changes(documents, items)
    pair = np.cumsum(new_pair) - 1
    # The farthest end so far, which may be that of any window before; a pair's stand behind all of the pair before.
    room = 1 + int(begins.max(initial=0)) + int(index.widths.max(initial=0))
    reached = np.maximum.accumulate(pair * room + begins + index.widths[ngrams])
    new_span = new_pair.copy()
    new_span[1:] |= (pair * room + begins)[1:] > reached[:-1]
    span = np.cumsum(new_span) - 1

    of_text = np.unique(np.stack([pair, texts, ngrams]), axis=1)[:2]  # a column for each different n-gram
    (pairs, of_pair), num_found = np.unique(of_text, axis=1, return_counts=True)
    share_of = np.zeros(int(new_pair.sum()), np.float64)
    np.maximum.at(share_of, pairs, num_found / index.num_ngrams[of_pair])
    shares = share_of.astype(np.float32)[pair[new_span]]
    starts = hits.starts[which][new_span]
    ends = np.zeros(len(starts), np.int64)
    np.maximum.at(ends, span, hits.ends[which])
    documents, items = documents[new_span], items[new_span]
    order = np.lexsort((items, ends, starts, documents))
    return _Spans(documents[order], items[order], starts[order], ends[order], shares[order])


def _changes(*columns: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Rows that differ from the one before; the first does."""
    changed = np.zeros(len(columns[0]), np.bool_)
    changed[:1] = True
    for column in columns:
        changed[1:] |= column[1:] != column[:-1]
    return changed


def _lists(values: pa.Array, documents: npt.NDArray[np.int64], num_texts: int) -> pa.ListArray:
    """Values, sorted by document, as a list for each document."""
    offsets = np.searchsorted(documents, np.arange(num_texts + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


# ---------------------------------------------------------------------------------------------------------
# The check of a dataset


def check_dataset(shards: Iterable[tuple[str, pa.Array | pa.ChunkedArray]], settings: Decontamination) -> Check:
    """Look for the tests in a dataset's texts, given as (shard, texts of its next rows).

    A shard's rows may come in several pieces, one after the other. The same rule as for the verdicts, whatever
    `action` is: a dataset that was built with them is clean unless an edit joined text, or a set was added since.
    """
    rule = settings.model_copy(update={"action": "drop"})
    documents, by_task, examples = 0, Counter[str](), list[Violation]()
    rows_before = Counter[str]()
    for shard, texts in shards:
        table = contamination(texts, rule)
        guilty = pc.is_valid(reasons(table, rule))
        for row in np.flatnonzero(np.asarray(guilty)).tolist():
            by_task.update(table["contaminated_by"][row].as_py())
            by_task[""] += 1
            if len(examples) < MAX_EXAMPLES:
                spans = table["contaminated_spans"][row].as_py()
                examples.append(_violation(shard, rows_before[shard] + row, texts[row].as_py(), spans))
        rows_before[shard] += len(texts)
        documents += len(texts)
    contaminated = by_task.pop("", 0)
    return Check(documents, contaminated, dict(sorted(by_task.items())), examples)


def together(checks: Sequence[Check]) -> Check:
    """Checks of several shards as one, the violations in the shards' order."""
    by_task = sum((Counter(check.by_task) for check in checks), Counter[str]())
    examples = [example for check in checks for example in check.examples][:MAX_EXAMPLES]
    documents, contaminated = (sum(getattr(check, name) for check in checks) for name in ("documents", "contaminated"))
    return Check(documents, contaminated, dict(sorted(by_task.items())), examples)


def _violation(shard: str, row: int, text: str, spans: Sequence[dict[str, Any]]) -> Violation:
    worst = max(spans, key=lambda span: (span["share"], -span["start"]))
    excerpt = text.encode()[worst["start"] : worst["end"]].decode()
    excerpt = excerpt if len(excerpt) <= EXCERPT_CHARS else excerpt[:EXCERPT_CHARS] + " ..."
    return Violation(shard, row, worst["task"], worst["item"], worst["share"], excerpt)
