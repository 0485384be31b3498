"""fastText models written byte by byte, so that what they say is known."""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def write_fasttext(path: Path, words: Sequence[str], labels: Sequence[str], weights: np.ndarray) -> None:
    """A supervised fastText model (format version 12) whose label scores are the mean of the words' rows.

    Dimension = number of labels, input row of a word = its weights, output = the identity.
    """
    dimension = len(labels)
    with path.open("wb") as file:
        file.write(struct.pack("<ii", 793712314, 12))
        # dim, ws, epoch, minCount, neg, wordNgrams, loss softmax, model supervised, bucket, minn, maxn, lrUpdateRate, t
        file.write(struct.pack("<12id", dimension, 5, 5, 1, 5, 1, 3, 3, 0, 0, 0, 100, 1e-4))
        file.write(struct.pack("<iiiqq", len(words) + dimension, len(words), dimension, 100, -1))
        for kind, entries in ((0, words), (1, labels)):
            for entry in entries:
                file.write(entry.encode() + b"\0" + struct.pack("<qb", 10, kind))
        for table in (weights, np.eye(dimension)):
            file.write(struct.pack("<?qq", False, *table.shape) + table.astype("<f4").tobytes())
