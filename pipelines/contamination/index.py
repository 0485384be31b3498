"""The word n-grams of tests, looked up in documents: one compiled pass, exact on words.

Words are lower-case, without punctuation or diacritics, numbers with their digits; characters of scripts without
spaces are words. A document's words get the numbers of the tests' words, so a word that no test has ends a run at
once. Within a run, rolling hashes of n-grams are looked up in a table of bits, then in a hash table, and what is found
is compared word by word: no collision of hashes accuses a document.

An item of at least `ngram` words is looked for by its windows of that many words, a shorter one by windows of
`short_ngram`, one that is shorter still as a whole, down to `min_words`; below that it is not looked for.

An n-gram that stands between more than `max_contexts` different pairs of neighbours in the tests is their own phrase
("which of the following best describes the ...") and is left out. Neighbours are counted, not items, because a
passage that many questions share is evidence like any other. Of texts that say an item once more, with other
neighbours, they are counted by themselves.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from pipelines.contamination import match as ngram_match
from pipelines.settings import Decontamination
from pipelines.text.vocabulary import Chunks, ChunkWords, Vocabulary, utf8
from pipelines.text.words import exact_chunk

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]

UNKNOWN = ""  # stands for every word that no test has; no word is empty
_ASCII_WORDS = re.compile("[a-z0-9]+")
BATCH_BYTES = 4 << 20  # of text read at once, so that its words stay in the processor's caches


@dataclass(frozen=True)
class Hits:
    """Windows of documents that are n-grams of the index, in the order of the documents' words."""

    documents: I64
    places: I64  # the window's first word, counted from the document's first
    starts: I64  # bytes of the document's text: from the start of the first word's chunk
    ends: I64  # to the end of the last word's
    ngrams: I64  # numbers in the index


class NgramIndex:
    """The n-grams of items, each item a text; the texts of `again`, numbered on, say some of them in other words.

    `keys` uint64 [n-grams] are hashes of their words, the same wherever they are computed, and `widths` int64 their
    numbers of words. `num_words` and `num_ngrams`, int64 [items], are an item's words and its different n-grams; one
    without n-grams is not looked for. `num_phrases` n-grams were left out by `max_contexts`.
    """

    def __init__(self, texts: Sequence[str], settings: Decontamination, *, again: Sequence[str] = ()) -> None:
        first_again, texts = len(texts), [*texts, *again]
        cutter = ChunkWords(Vocabulary(), lambda chunk: tuple(_words(chunk)))
        self._stream, offsets = cutter.flat(cutter.vocabulary.read(pa.array(texts, pa.large_string())))
        spelled = cutter.spelled()
        self._values = np.array([xxhash.xxh3_64_intdigest(word.encode()) for word in spelled], np.uint64)
        self._reader = _Reader({word: number for number, word in enumerate(spelled)})

        self.num_words = np.diff(offsets)
        widths = _window_widths(self.num_words, settings)
        windows, items, contexts, firsts, ngram_widths, keys = ngram_match.windows(
            self._stream, offsets, widths, self._values
        )
        num_contexts = np.zeros(len(keys), np.int64)
        for some in (items < first_again, items >= first_again):
            np.maximum(num_contexts, _num_distinct(windows[some], contexts[some], len(keys)), out=num_contexts)
        evidence = num_contexts <= (settings.max_contexts or len(windows))
        self.num_phrases = int((~evidence).sum())
        self.keys, self.widths, self._firsts = keys[evidence], ngram_widths[evidence], firsts[evidence]

        kept = evidence[windows]
        renumbered = np.cumsum(evidence) - 1
        pairs = np.unique(renumbered[windows[kept]] * len(texts) + items[kept])
        self._items = pairs % max(1, len(texts))
        self._item_offsets = np.searchsorted(pairs, np.arange(len(self.keys) + 1) * len(texts))
        self.num_ngrams = np.bincount(self._items, minlength=len(texts)).astype(np.int64)
        self._lengths = np.unique(self.widths)
        self._gate, self._table = ngram_match.tables(self._stream, self._values, self._firsts, self._lengths, self.keys)

    def find(self, texts: pa.Array | pa.ChunkedArray) -> Hits:
        """All windows of the texts (string or large_string) that are n-grams of the index."""
        found = [np.zeros((5, 0), np.int64)]
        for first, batch in _batches(texts) if len(self.keys) else ():
            hits = self._find(batch)
            hits[0] += first
            found.append(hits)
        return Hits(*np.concatenate(found, axis=1))

    def items_of(self, ngrams: I64) -> tuple[I64, I64]:
        """(which, items): each pair says that `ngrams[which]` is one of the item's."""
        counts = self._item_offsets[ngrams + 1] - self._item_offsets[ngrams]
        which = np.repeat(np.arange(len(ngrams)), counts)
        within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        return which, self._items[self._item_offsets[ngrams][which] + within]

    def spelled(self, ngram: int) -> str:
        """The words of an n-gram."""
        first = self._firsts[ngram]
        return " ".join(self._reader.spelled(self._stream[first : first + self.widths[ngram]]))

    def _find(self, texts: pa.Array) -> I64:
        chunks, words, offsets = self._reader.read(texts)
        places, ngrams = self._matched(words, offsets)
        documents = np.searchsorted(offsets, places, "right") - 1
        starts, ends = self._reader.bytes_of(chunks, places, places + self.widths[ngrams])
        return np.stack([documents, places - offsets[documents], starts, ends, ngrams])

    def _matched(self, words: I32, offsets: I64) -> tuple[I64, I64]:
        room = 1024
        while True:
            places, ngrams = np.empty(room, np.int64), np.empty(room, np.int64)
            count = ngram_match.match(
                words, offsets, self._values, self._lengths, self._gate, self._table, self.keys, self._firsts,
                self.widths, self._stream, places, ngrams,
            )  # fmt: skip
            if count <= room:
                return places[:count], ngrams[:count]
            room = count


class _Reader:
    """Texts as numbers of the tests' words, -1 for any other; remembers chunks from call to call."""

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self._numbers = numbers
        self._spelled = list(numbers)
        self._vocabulary = Vocabulary()
        self._words = ChunkWords(self._vocabulary, self._cut)

    def _cut(self, chunk: str) -> tuple[str, ...]:
        numbers = self._numbers
        return tuple([word if word in numbers else UNKNOWN for word in _words(chunk)])

    def read(self, texts: pa.Array) -> tuple[Chunks, I32, I64]:
        """(chunks, words int32, offsets): the words of text t are `words[offsets[t] : offsets[t + 1]]`."""
        self._vocabulary.trim()
        chunks = self._vocabulary.read(texts)
        words, offsets = self._words.flat(chunks)
        numbers = np.array([self._numbers.get(word, -1) for word in self._words.spelled()], np.int32)
        return chunks, numbers[words], offsets

    def bytes_of(self, chunks: Chunks, first: I64, last: I64) -> tuple[I64, I64]:
        """(starts, ends) in their texts of the chunks that hold words `first` to `last`, without the last."""
        if not len(first):
            return first, last
        ends_of_chunks = np.cumsum(np.diff(self._words.word_offsets)[chunks.numbers])
        one, other = (np.searchsorted(ends_of_chunks, word, "right") for word in (first, last - 1))
        distinct, which = np.unique(chunks.numbers[other], return_inverse=True)
        sizes = np.array([len(self._vocabulary.text(int(number)).encode()) for number in distinct], np.int64)
        return chunks.starts[one], chunks.starts[other] + sizes[which]

    def spelled(self, words: I32) -> list[str]:
        return [self._spelled[word] for word in words.tolist()]


def _words(chunk: str) -> list[str]:
    """`exact_chunk`, faster where all is ASCII."""
    small = chunk.lower()
    return _ASCII_WORDS.findall(small) if small.isascii() else exact_chunk(chunk)


def _batches(texts: pa.Array | pa.ChunkedArray) -> Iterator[tuple[int, pa.Array]]:
    """(first row, rows) of about BATCH_BYTES."""
    first = 0
    for chunk in texts.chunks if isinstance(texts, pa.ChunkedArray) else [texts]:
        _, bounds = utf8(chunk)
        row = 0
        while row < len(chunk):
            end = max(row + 1, int(np.searchsorted(bounds, bounds[row] + BATCH_BYTES, "right")) - 1)
            yield first + row, chunk.slice(row, end - row)
            row = end
        first += len(chunk)


def _window_widths(num_words: I64, settings: Decontamination) -> I64:
    """Words in the windows of items of so many words; 0 where an item is too short to be looked for."""
    short = np.where(num_words >= settings.short_ngram, settings.short_ngram, num_words)
    widths = np.where(num_words >= settings.ngram, settings.ngram, short)
    return np.where(num_words >= settings.min_words, widths, 0)


def _num_distinct(groups: I64, values: I64, num_groups: int) -> I64:
    """How many different values each group has."""
    order = np.lexsort((values, groups))
    groups, values = groups[order], values[order]
    new = np.concatenate([[True], (groups[1:] != groups[:-1]) | (values[1:] != values[:-1])])[: len(order)]
    return np.bincount(groups[new], minlength=num_groups)
