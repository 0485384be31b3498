"""fastText's binary files (.bin, .ftz, format 12) as plain arrays: dictionary, n-gram buckets, matrices, label tree.

Written from the facts of the format (Joulin et al. 2016 and 2017, fastText 0.9.2). Rows that a product quantiser packed
are unpacked once: of lid.176.ftz 50,000 rows of 16 numbers, 3 MB.
"""

import mmap
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipelines.errors import InputError

F32 = npt.NDArray[np.float32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

MAGIC, FORMAT = 793712314, 12
HIERARCHICAL_SOFTMAX, SOFTMAX = 1, 3  # losses; the others are negative sampling and one against all
SUPERVISED = 3
CENTROIDS = 256  # of each part of a quantised row
MAX_DIM, MAX_NGRAM = 1 << 14, 1 << 10

_ARGUMENTS = "<12id"


class Network(NamedTuple):
    """What compiled code reads. Rows of `inputs` are words, then n-gram buckets; entry e is a word if e < num_words."""

    inputs: F32  # [words + buckets, dim]
    outputs: F32  # [labels, dim]: of softmax; of the label tree's inner nodes otherwise
    left: I32  # [labels - 1] of inner node n + labels: a label or an inner node; empty for softmax
    right: I32
    spellings: npt.NDArray[np.uint8]  # of all entries, words first
    ends: I64  # [entries] of each in `spellings`
    kept_buckets: I32  # ascending, where not all were kept
    kept_rows: I32  # which row after the words each of them has
    num_words: int
    buckets: int
    is_pruned: bool
    min_chars: int  # of character n-grams; none where max_chars is 0
    max_chars: int
    max_words: int  # of word n-grams; none where it is 1


class Model(NamedTuple):
    """A supervised model and its labels as they are written, `__label__en`."""

    network: Network
    labels: list[str]


def read_model(path: Path, setting: str) -> Model | None:
    """The model of a file; None for a fastText model of another version or loss, which is left to fastText itself.

    Raises InputError for a file that is no supervised fastText model or ends too soon.
    """
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise InputError(f"{setting}: {path} is not a fastText model: it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _model(_Reader(data))
            except (ValueError, struct.error) as error:
                raise InputError(
                    f"{setting}: {path} is not a fastText model: {error}; download it again, or name another"
                ) from None


class _Reader:
    """Numbers of a file, one after the other; ValueError where it ends before them."""

    def __init__(self, data: mmap.mmap) -> None:
        self.data = data
        self.place = 0

    def numbers(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(layout, self.data, self.place)
        self.place += struct.calcsize(layout)
        return found

    def array(self, kind: str, count: int) -> npt.NDArray[Any]:
        """A copy, aligned in memory, which numbers of the file need not be."""
        size = count * np.dtype(kind).itemsize
        if count < 0 or self.place + size > len(self.data):
            raise ValueError(f"it ends at byte {len(self.data)}, within {count} values from byte {self.place} on")
        found = np.frombuffer(self.data, kind, count, self.place).copy() if count else np.zeros(0, kind)
        self.place += size
        return found


def _model(file: _Reader) -> Model | None:
    magic, version = file.numbers("<ii")
    if magic != MAGIC:
        raise ValueError(f"it begins with {magic}, not with {MAGIC}")
    if version != FORMAT:
        return None
    dim, _, _, _, _, max_words, loss, kind, buckets, min_chars, max_chars, _, _ = file.numbers(_ARGUMENTS)
    if kind != SUPERVISED:
        raise ValueError("it has word vectors and no labels (kind supervised is needed)")
    if not 0 < dim <= MAX_DIM or max(min_chars, max_chars, max_words) > MAX_NGRAM or buckets < 0:
        raise ValueError(f"dim {dim}, n-grams of {max_chars} characters and {max_words} words, {buckets} buckets")
    if loss not in (HIERARCHICAL_SOFTMAX, SOFTMAX):
        return None
    if not buckets and (max_chars > 0 or max_words > 1):
        raise ValueError("it has n-grams and no buckets for them")
    entries, num_words, num_labels, _, num_kept = file.numbers("<iiiqq")
    if num_words < 0 or num_labels < 1 or entries != num_words + num_labels:
        raise ValueError(f"{entries} entries of the dictionary are {num_words} words and {num_labels} labels")
    spellings, ends, counts = _entries(file, entries, num_words)
    kept = file.array("<i4", 2 * max(num_kept, 0)).reshape(-1, 2)
    kept = kept[np.argsort(kept[:, 0])]
    is_quantised = file.numbers("<?")[0]
    inputs = _quantised(file) if is_quantised else _dense(file)
    outputs = _quantised(file) if file.numbers("<?")[0] and is_quantised else _dense(file)
    last = int(kept[:, 1].max(initial=-1)) + 1 if num_kept >= 0 else buckets
    if inputs.shape[1] != dim or len(inputs) < num_words + last or kept.min(initial=0) < 0:
        raise ValueError(f"{inputs.shape} inputs are not those of {num_words} words and {last} n-grams of dim {dim}")
    if outputs.shape != (num_labels, dim):
        raise ValueError(f"{outputs.shape} outputs are not those of {num_labels} labels of dim {dim}")
    left, right = label_tree(counts[num_words:]) if loss == HIERARCHICAL_SOFTMAX else (np.zeros(0, np.int32),) * 2
    network = Network(
        inputs, outputs, left, right, np.frombuffer(spellings, np.uint8), ends, np.ascontiguousarray(kept[:, 0]),
        np.ascontiguousarray(kept[:, 1]), num_words, buckets, num_kept >= 0, min_chars, max(max_chars, 0), max_words,
    )  # fmt: skip
    starts = [0, *ends.tolist()]
    labels = [spellings[starts[n] : starts[n + 1]].decode("utf-8", "replace") for n in range(num_words, entries)]
    return Model(network, labels)


def _entries(file: _Reader, entries: int, num_words: int) -> tuple[bytes, I64, I64]:
    """Spellings in a row, where each ends, and counts. A file's entry: bytes, a zero, count, kind (1 of a label)."""
    data, place, found, counts = file.data, file.place, [], []
    for entry in range(entries):
        end = data.find(b"\0", place)
        if end < 0 or end + 10 > len(data):
            raise ValueError(f"it ends within entry {entry} of {entries} of its dictionary")
        found.append(data[place:end])
        count, is_label = struct.unpack_from("<q?", data, end + 1)
        if is_label != (entry >= num_words):
            raise ValueError(f"entry {entry} of its dictionary: words do not come before labels")
        counts.append(count)
        place = end + 10
    file.place = place
    ends = np.cumsum(np.fromiter(map(len, found), np.int64, entries), dtype=np.int64)
    return b"".join(found), ends, np.array(counts, np.int64)


def _dense(file: _Reader) -> F32:
    rows, dim = file.numbers("<qq")
    if rows < 0 or dim < 0:
        raise ValueError(f"a matrix of {rows} x {dim}")
    return file.array("<f4", rows * dim).reshape(rows, dim)


def _quantised(file: _Reader) -> F32:
    """Rows of a matrix by product quantisation; their lengths apart where it says so."""
    has_norms, rows, dim, num_codes = file.numbers("<?qqi")
    codes = file.array("u1", num_codes)
    found = _unpacked(file, codes, rows, dim)
    if has_norms:
        norms = file.array("u1", rows)
        found *= _unpacked(file, norms, rows, 1)
    return found


def _unpacked(file: _Reader, codes: npt.NDArray[np.uint8], rows: int, dim: int) -> F32:
    whole, parts, width, last = file.numbers("<iiii")
    if whole != dim or parts < 1 or (parts - 1) * width + last != dim or not 0 < last <= width:
        raise ValueError(f"{parts} parts of {width} numbers, the last of {last}, are no row of {dim}")
    if rows < 0 or len(codes) != rows * parts or rows * dim > 64 * len(file.data):
        raise ValueError(f"{len(codes)} codes are not {parts} of each of {rows} rows")
    centroids = file.array("<f4", CENTROIDS * dim)
    codes, found = codes.reshape(rows, parts), np.empty((rows, dim), np.float32)
    for part in range(parts):
        begin = part * width
        size = last if part == parts - 1 else width
        of_part = centroids[CENTROIDS * begin : CENTROIDS * (begin + size)].reshape(CENTROIDS, size)
        found[:, begin : begin + size] = of_part[codes[:, part]]
    return found


def label_tree(counts: I64) -> tuple[I32, I32]:
    """(left, right) of the inner nodes of the Huffman tree of labels whose counts descend; the last is the root.

    As fastText builds it: of a label and an inner node that are equally frequent, the node is taken first.
    """
    labels = len(counts)
    size = np.full(2 * labels - 1, 10**15, np.int64)
    size[:labels] = counts
    left, right = np.zeros(labels - 1, np.int32), np.zeros(labels - 1, np.int32)
    leaf, node = labels - 1, labels
    for inner in range(labels - 1):
        pair = []
        for _ in range(2):
            if leaf >= 0 and size[leaf] < size[node]:
                pair.append(leaf)
                leaf -= 1
            else:
                pair.append(node)
                node += 1
        left[inner], right[inner] = pair
        size[labels + inner] = size[pair[0]] + size[pair[1]]
    return left, right
