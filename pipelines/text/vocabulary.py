"""White-space chunks of texts as numbers: one compiled pass over the UTF-8 bytes of an Arrow array.

What quality rules and word counts ask of a text, they ask of its chunks, and the same chunks come again and again.
So a text is read once as bytes, cut exactly where `str.split` cuts, and each chunk is looked up in a hash table that
compares bytes. Only a chunk that was never seen costs Python, once: `ChunkWords` cuts it into words, and callers
work out whatever else they want to know of it.

Numbers depend on what was read before: use them within one call, never in an output.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.text.chunk_table import FOUND, NUM_CHUNKS, PLACE, STATE, TEXT, USED, WANTED, number_chunks, refill
from pipelines.text.words import word_kind

MAX_CHUNKS = 1_000_000  # remembered from call to call: about 100 MB with the words that they are cut into
MAX_BYTES = 32 << 20  # of remembered chunks

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


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
        self._clear()

    def __len__(self) -> int:
        return int(self._state[NUM_CHUNKS])

    @property
    def chars(self) -> I32:
        """Characters of each numbered chunk."""
        return self._chars[: len(self)]

    def read(self, texts: pa.Array | pa.ChunkedArray) -> Chunks:
        """The chunks of the texts (string or large_string), by number; exactly those of `str.split`, in order."""
        data, bounds = utf8(texts)
        offsets = np.zeros(len(bounds), np.int64)
        room = max(16, int(bounds[-1] - bounds[0]) // 5)
        numbers, starts = np.empty(room, np.int32), np.empty(room, np.int64)
        state = self._state
        state[[TEXT, PLACE, FOUND]] = 0, bounds[0], 0
        while not number_chunks(
            data, bounds, state, self._table, self._hashes, self._ends, self._chars, self._arena,
            numbers, starts, offsets,
        ):  # fmt: skip
            found = int(state[FOUND])
            if found == len(numbers):
                numbers, starts = _grown(numbers, 2 * found), _grown(starts, 2 * found)
            self._make_room()
        found = int(state[FOUND])
        return Chunks(numbers[:found], offsets, starts[:found])

    def text(self, number: int) -> str:
        """The chunk of a number."""
        return self.texts(number, number + 1)[0]

    def texts(self, first: int = 0, last: int | None = None) -> list[str]:
        """The chunks `first` to `last`, without the last."""
        last = len(self) if last is None else last
        start = int(self._ends[first - 1]) if first else 0
        end = int(self._ends[last - 1]) if last else 0
        return self._arena[start:end].tobytes().decode().split() if first < last else []

    def trim(self) -> None:
        """Forget all when too much is remembered; every number given out before is void then."""
        if len(self) > MAX_CHUNKS or self._state[USED] > MAX_BYTES:
            self.generation += 1
            self._clear()

    def _clear(self) -> None:
        self._state = np.zeros(STATE, np.int64)
        self._table = np.zeros(1 << 14, np.uint64)
        self._hashes = np.empty(1 << 13, np.uint64)
        self._ends = np.empty(1 << 13, np.int64)
        self._chars = np.empty(1 << 13, np.int32)
        self._arena = np.empty(1 << 16, np.uint8)

    def _make_room(self) -> None:
        count, used, wanted = (int(self._state[place]) for place in (NUM_CHUNKS, USED, WANTED))
        if count == len(self._hashes):
            self._hashes = _grown(self._hashes, 2 * count)
            self._ends, self._chars = _grown(self._ends, 2 * count), _grown(self._chars, 2 * count)
            self._table = np.zeros(4 * count, np.uint64)
            refill(self._table, self._hashes, count)
        if used + wanted > len(self._arena):
            self._arena = _grown(self._arena, 2 * (used + wanted))


class ChunkWords:
    """The words that chunks are cut into, by number; chunk c has `words[word_offsets[c] : word_offsets[c + 1]]`.

    `cut` must not depend on anything but the chunk.
    """

    word_offsets: I64
    words: I32
    lengths: I32  # characters of each word
    kinds: Bytes  # `word_kind` of each word

    def __init__(self, vocabulary: Vocabulary, cut: Callable[[str], tuple[str, ...]]) -> None:
        self.vocabulary = vocabulary
        self.cut = cut
        self._clear()

    def flat(self, chunks: Chunks) -> tuple[I32, I64]:
        """(words, offsets): the words of text t, in order, are `words[offsets[t] : offsets[t + 1]]`."""
        self.learn()
        offsets = np.zeros_like(chunks.offsets)
        total = _count(chunks.numbers, chunks.offsets, self.word_offsets, offsets)
        words = np.empty(total, np.int32)
        _gather(chunks.numbers, self.word_offsets, self.words, words)
        return words, offsets

    def number(self, word: str) -> int:
        """The number of one word, whether a chunk has it or not; void after a `trim` that forgets."""
        self._follow()
        self._number([word])
        return self._numbers[word]

    def spelled(self) -> list[str]:
        """The words that have numbers so far, by number."""
        return list(self._numbers)

    def learn(self) -> None:
        """Cut the chunks that are new."""
        self._follow()
        done = len(self.word_offsets) - 1
        if done == len(self.vocabulary):
            return
        cut = list(map(self.cut, self.vocabulary.texts(done)))
        counts = np.fromiter(map(len, cut), np.int64, len(cut))
        self.word_offsets = np.concatenate([self.word_offsets, self.word_offsets[-1] + np.cumsum(counts)])
        self.words = np.concatenate([self.words, self._number(list(chain.from_iterable(cut)))])

    def _number(self, words: list[str]) -> I32:
        numbers = self._numbers
        new = [word for word in dict.fromkeys(words) if word not in numbers]
        if new:
            numbers.update(zip(new, range(len(numbers), len(numbers) + len(new)), strict=True))
            self.lengths = np.concatenate([self.lengths, np.fromiter(map(len, new), np.int32, len(new))])
            self.kinds = np.concatenate([self.kinds, np.fromiter(map(word_kind, new), np.uint8, len(new))])
        return np.fromiter(map(numbers.__getitem__, words), np.int32, len(words))

    def _follow(self) -> None:
        if self._generation != self.vocabulary.generation:
            self._clear()

    def _clear(self) -> None:
        self._generation = self.vocabulary.generation
        self._numbers: dict[str, int] = {}
        self.word_offsets = np.zeros(1, np.int64)
        self.words = np.zeros(0, np.int32)
        self.lengths = np.zeros(0, np.int32)
        self.kinds = np.zeros(0, np.uint8)


def _grown(values: npt.NDArray, size: int) -> npt.NDArray:  # type: ignore[type-arg]
    found = np.empty(size, values.dtype)
    found[: len(values)] = values
    return found


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
