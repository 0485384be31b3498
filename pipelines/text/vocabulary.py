"""White-space chunks of texts as numbers: one compiled pass over the UTF-8 bytes of an Arrow array.

What quality rules and word counts ask of a text, they ask of its chunks, and the same chunks come again and again.
So a text is read once as bytes, cut exactly where `str.split` cuts, and each chunk is looked up in a hash table that
compares bytes. A chunk that was never seen is cut into words once, by `ChunkWords`: nearly all in compiled code, the
others in Python; callers work out whatever else they want to know of it.

Numbers depend on what was read before: use them within one call, never in an output.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.text import code_point_kinds
from pipelines.text.chunk_table import find_chunks
from pipelines.text.code_point_kinds import KINDS, word_kinds
from pipelines.text.spellings import I32, I64, Bytes, Spellings

MAX_CHUNKS = 1_000_000  # remembered from call to call: about 100 MB with the words that they are cut into
MAX_BYTES = 32 << 20  # of remembered chunks
BLOCK = 1 << 14  # chunks that are looked up at a time: what is known of them stays in the cache


@dataclass(frozen=True)
class Chunks:
    """The chunks of some texts in a row; those of text t are at `offsets[t] : offsets[t + 1]`."""

    numbers: I32
    offsets: I64
    starts: I64  # the byte where each starts within its text


def utf8(texts: pa.Array | pa.ChunkedArray) -> tuple[Bytes, I64]:
    """(data, offsets): text t is `data[offsets[t] : offsets[t + 1]]`; a null is an empty text. Nothing is copied."""
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.chunk(0) if texts.num_chunks == 1 else texts.cast(pa.large_string()).combine_chunks()
    if texts.null_count:
        texts = texts.fill_null("")
    if texts.type not in (pa.string(), pa.large_string()):
        texts = texts.cast(pa.large_string())
    if not len(texts):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    _, offset_buffer, data = texts.buffers()
    width = np.int64 if texts.type == pa.large_string() else np.int32
    offsets = np.frombuffer(offset_buffer, width)[texts.offset : texts.offset + len(texts) + 1]
    return np.frombuffer(data or b"", np.uint8), offsets.astype(np.int64)


class Vocabulary:
    """Numbers of chunks, in the order in which they were first met; one per process."""

    def __init__(self) -> None:
        self.generation = 0  # goes up when numbers become void
        self.spellings = Spellings()

    def __len__(self) -> int:
        return len(self.spellings)

    @property
    def chars(self) -> I32:
        """Characters of each numbered chunk."""
        return self.spellings.chars

    def read(self, texts: pa.Array | pa.ChunkedArray) -> Chunks:
        """The chunks of the texts (string or large_string), by number; exactly those of `str.split`, in order."""
        data, bounds = utf8(texts)
        offsets = np.zeros(len(bounds), np.int64)
        numbers, begins = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        starts, ends, hashes = np.empty(BLOCK, np.int64), np.empty(BLOCK, np.int64), np.empty(BLOCK, np.uint64)
        text, place, count = 0, 0, 0
        while text < len(texts):
            begins.append(np.empty(BLOCK, np.int64))
            text, place, found = find_chunks(
                data, bounds, text, place, count, starts, ends, hashes, begins[-1], offsets
            )  # fmt: skip
            begins[-1] = begins[-1][:found]
            numbers.append(self.spellings.number_spans(data, starts[:found], ends[:found], hashes[:found]))
            count += found
        return Chunks(np.concatenate(numbers), offsets, np.concatenate(begins))

    def text(self, number: int) -> str:
        """The chunk of a number."""
        return self.texts(number, number + 1)[0]

    def texts(self, first: int = 0, last: int | None = None) -> list[str]:
        """The chunks `first` to `last`, without the last."""
        return self.spellings.texts(np.arange(first, len(self) if last is None else last))

    def trim(self) -> None:
        """Forget all when too much is remembered; every number given out before is void then."""
        if len(self) > MAX_CHUNKS or self.spellings.num_bytes > MAX_BYTES:
            self.generation += 1
            self.spellings = Spellings()


class ChunkWords:
    """The words that chunks are cut into, by number; chunk c has `words[word_offsets[c] : word_offsets[c + 1]]`.

    `cut` must not depend on anything but the chunk. `cut_many` does the same for many chunks at once and may leave
    some to `cut`; see `plain_chunks.cut_plain`.
    """

    word_offsets: I64
    words: I32
    kinds: Bytes  # `word_kind` of each word

    def __init__(
        self,
        vocabulary: Vocabulary,
        cut: Callable[[str], tuple[str, ...]],
        cut_many: Callable[[Spellings, int], tuple[I64, I64, I32]] | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.cut = cut
        self.cut_many = cut_many
        self._clear()

    @property
    def lengths(self) -> I32:
        """Characters of each word."""
        return self._spellings.chars

    def flat(self, chunks: Chunks) -> tuple[I32, I64]:
        """(words, offsets): the words of text t, in order, are `words[offsets[t] : offsets[t + 1]]`."""
        self.learn()
        offsets = np.zeros_like(chunks.offsets)
        total = _count(chunks.numbers, chunks.offsets, self.word_offsets, offsets)
        words = np.empty(total, np.int32)
        _gather(chunks.numbers, self.word_offsets, self.words, words)
        return words, offsets

    def numbers(self, words: Sequence[str]) -> I32:
        """The number of each word, whether a chunk has it or not; void after a `trim` that forgets."""
        self._follow()
        numbers = self._spellings.number(words)
        self._learn_kinds()
        return numbers

    def spelled(self) -> list[str]:
        """The words that have numbers so far, by number."""
        self._spelled += self._spellings.texts(np.arange(len(self._spelled), len(self._spellings)))
        return self._spelled

    def learn(self) -> None:
        """Cut the chunks that are new."""
        self._follow()
        done, chunks = len(self.word_offsets) - 1, self.vocabulary.spellings
        if done == len(chunks):
            return
        counts, words = np.full(len(chunks) - done, -1, np.int32), np.zeros(0, np.int32)
        if self.cut_many:
            starts, ends, counts = self.cut_many(chunks, done)
            words = self._spellings.number_spans(chunks.table.arena, starts, ends)
        left = np.flatnonzero(counts < 0)
        cut = list(map(self.cut, chunks.texts(done + left)))
        others = self._spellings.number(list(chain.from_iterable(cut)))
        counts[left] = np.fromiter(map(len, cut), np.int32, len(cut))
        by_python = np.zeros(len(counts), np.bool_)
        by_python[left] = True
        self._add(counts, words, others, np.repeat(by_python, counts))

    def _add(self, counts: I32, words: I32, others: I32, is_other: npt.NDArray[np.bool_]) -> None:
        merged = np.empty(len(is_other), np.int32)
        merged[~is_other], merged[is_other] = words, others
        self.word_offsets = np.concatenate(
            [self.word_offsets, self.word_offsets[-1] + np.cumsum(counts, dtype=np.int64)]
        )
        self.words = np.concatenate([self.words, merged])
        self._learn_kinds()

    def _learn_kinds(self) -> None:
        first, words = len(self.kinds), self._spellings
        if first == len(words):
            return
        code_point_kinds.learn(words.table.arena, words.begin(first), words.num_bytes)
        kinds = np.empty(len(words) - first, np.uint8)
        word_kinds(words.table.arena, words.table.ends, first, len(words), KINDS, kinds)
        self.kinds = np.concatenate([self.kinds, kinds])

    def _follow(self) -> None:
        if self._generation != self.vocabulary.generation:
            self._clear()

    def _clear(self) -> None:
        self._generation = self.vocabulary.generation
        self._spellings = Spellings()
        self._spelled: list[str] = []
        self.word_offsets = np.zeros(1, np.int64)
        self.words = np.zeros(0, np.int32)
        self.kinds = np.zeros(0, np.uint8)


# ---------------------------------------------------------------------------------------------------------
# Compiled


@numba.njit(cache=True)
def _count(numbers, offsets, word_offsets, found):  # type: ignore[no-untyped-def]
    total = 0
    for text in range(len(offsets) - 1):
        for place in range(offsets[text], offsets[text + 1]):
            number = numbers[place]
            total += word_offsets[number + 1] - word_offsets[number]
        found[text + 1] = total
    return total


@numba.njit(cache=True)
def _gather(numbers, word_offsets, words, found):  # type: ignore[no-untyped-def]
    count = 0
    for number in numbers:
        for place in range(word_offsets[number], word_offsets[number + 1]):
            found[count] = words[place]
            count += 1
