"""The bucket that a text is likeliest from, by its tokens alone: where no vectors tell what is near.

A bucket's distribution over the vocabulary is its share of each token, smoothed with that of all buckets by a
Dirichlet prior (Zhai and Lafferty 2004, section 3.2); a text's tokens are taken as drawn one by one, and buckets as
equally likely before. It is multinomial naive Bayes.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PRIOR_TOKENS = 2000  # weight of all buckets' shares in those of each, in tokens: the paper's usual value
BLOCK = 1 << 22  # tokens counted at once: bincount makes int64 of them

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.unsignedinteger]


def counts(tokens: Tokens, vocabulary: int) -> Counts:
    """int64 [vocabulary]: how often each id stands in an array, memory-mapped or not."""
    found = np.zeros(vocabulary, np.int64)
    for first in range(0, len(tokens), BLOCK):
        found += np.bincount(tokens[first : first + BLOCK], minlength=vocabulary)
    return found


def log_shares(tokens: npt.NDArray[np.integer]) -> Floats:
    """float32 [buckets, vocabulary]: natural logarithms of smoothed shares, from counts of the same shape."""
    found = np.asarray(tokens, np.float64)
    every = found.sum(axis=0) + 1  # one more of each id: an id that no bucket has is possible too
    prior = PRIOR_TOKENS * every / every.sum()
    shares = (found + prior) / (found.sum(axis=1, keepdims=True) + PRIOR_TOKENS)
    return np.asarray(np.log(shares), np.float32)


def likeliest(documents: Sequence[Tokens], shares: Floats) -> npt.NDArray[np.int64]:
    """int64 [documents]: the bucket under whose `log_shares` a text's ids are likeliest; ties to the smallest."""
    likelihoods = [shares[:, ids].sum(axis=1, dtype=np.float64) for ids in documents]
    return np.array([int(np.argmax(one)) for one in likelihoods], np.int64)
