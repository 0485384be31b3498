"""Multiple-choice items for a proxy: tokens of every choice, and what log-likelihoods of the answers are worth."""

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mixer.proxies.data import Integers, Tokens
from mixer.trial import Loss


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """Items of a task as rows, one for each choice, those of an item together.

    tokens: of all rows one after the other, context then answer; ends (rows,): where each row ends in them;
    lengths (rows,): tokens of its answer; chars, num_bytes (rows,): of the answer's text; items (rows,): number of
    its item, from 0; right (rows,): one a item.
    """

    tokens: Tokens
    ends: Integers
    lengths: Integers
    chars: Integers
    num_bytes: Integers
    items: Integers
    right: NDArray[np.bool_]

    @classmethod
    def of_table(cls, rows: pa.Table) -> "Choices":
        """Rows of the schema of pipelines/tasks.py, of one task and split."""
        contexts, answers = rows["context"].to_pylist(), rows["answer"].to_pylist()
        return cls(
            tokens=np.array([token for pair in zip(contexts, answers, strict=True) for ids in pair for token in ids]),
            ends=np.cumsum([len(context) + len(answer) for context, answer in zip(contexts, answers, strict=True)]),
            lengths=np.array([len(answer) for answer in answers]),
            chars=np.asarray(rows["chars"], np.int64),
            num_bytes=np.asarray(rows["num_bytes"], np.int64),
            items=np.unique(np.asarray(rows["number"]), return_inverse=True)[1],
            right=np.asarray(rows["right"]),
        )

    def __len__(self) -> int:
        return len(self.ends)


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """What a model reads: rows of tokens (by `starts` and `ends`), of which it is to predict the last ones.

    `predicted` (windows,): how many; `rows` (windows,): the choice that they belong to.
    """

    starts: Integers
    ends: Integers
    predicted: Integers
    rows: Integers


def windows(choices: Choices, sequence: int) -> Windows:
    """One window a choice, at most `sequence` + 1 tokens, contexts cut from the left.

    An answer of more than `sequence` tokens is read in pieces of that many, which start cold.
    """
    starts, ends, predicted, rows = [], [], [], []
    begins = np.concatenate([[0], choices.ends[:-1]])
    for row, (begin, end, length) in enumerate(zip(begins, choices.ends, choices.lengths, strict=True)):
        for first in range(end - length, end, sequence):
            last = min(first + sequence, end)
            starts.append(max(begin, last - sequence - 1))
            ends.append(last)
            predicted.append(last - first)
            rows.append(row)
    return Windows(*(np.array(values, np.int64) for values in (starts, ends, predicted, rows)))


def loss_of(choices: Choices, log_likelihoods: NDArray[np.float64], greedy: NDArray[np.bool_]) -> Loss:
    """Means over the items, from the log-likelihood of each answer and whether its every token was the likeliest.

    An item is right where the right choice has the largest log-likelihood, or log-likelihood per character, the first
    of equals counting; one of a single choice, where it is greedy. Nats and bits are the right answer's own.
    """
    right = choices.right
    nats = -log_likelihoods[right]
    return Loss(
        nats=float(np.mean(nats / choices.lengths[right])),
        bits_per_byte=float(np.mean(nats / choices.num_bytes[right])) / math.log(2),
        accuracy=float(np.mean(hits(choices, log_likelihoods, greedy))),
        accuracy_norm=float(np.mean(hits(choices, log_likelihoods / choices.chars, greedy))),
    )


def hits(choices: Choices, values: NDArray[np.float64], greedy: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(items,) whether the right choice has the first largest value; of a single choice, whether it is greedy."""
    firsts = np.flatnonzero(np.diff(choices.items, prepend=-1))
    counts = np.diff(firsts, append=len(choices))
    largest = np.maximum.reduceat(values, firsts)
    best = np.flatnonzero(values == largest[choices.items])
    chosen = best[np.flatnonzero(np.diff(choices.items[best], prepend=-1))]
    found: NDArray[np.bool_] = np.where(counts == 1, greedy[firsts], choices.right[chosen])
    return found
