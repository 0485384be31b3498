"""What a search's target is made of: its documents by cluster, and the topics of clusters and target alike.

Topics are the corpus's fine centroids. Taken as they are they would be nested in the clusters, each in one alone, and
say nothing across clusters: Domain2Vec over them would be `nearest` with weight strayed to clusters that hold nothing
of the target (7 % of it on the demo's crawl, 1 % as below). So a document belongs to every topic by a softmax of
cosines, as that paper's classifier gives it probabilities (2506.10952), and its vector is taken to be its fine
centroid: what is counted of each fine cluster is enough. A target's documents in pruned clusters count for the
clusters near them.
"""

import numpy as np

from mixer.candidates import Floats
from mixer.objectives import nearest, weighed
from mixer.strategy import Target
from pipelines.clusters import read_buckets, read_fine_documents
from pipelines.corpus import Corpus
from pipelines.fitting import read_centroids
from pipelines.optional import by_topic
from pipelines.pooling import read_fine_evaluations

TEMPERATURE = 0.1  # of cosines: a document's own topic gets a third of it on the demo's crawl
BLOCK_ROWS = 1024  # whose cosines with all topics are in memory at once


def target_of(corpus: Corpus) -> Target:
    """The target of a corpus; without topics where its clusters are sources, which have no vectors.

    What clusters are made of is counted in documents of the crawls that they were fitted on.
    """
    counts = nearest(corpus)
    if not by_topic(corpus.settings):
        return Target.of_counts(counts)
    buckets, documents = read_buckets(corpus), read_fine_documents(corpus).astype(np.float64)
    centroids = centred(read_centroids(corpus), documents)
    composition = shared_out(by_cluster(documents, buckets.merged), centroids)[:, buckets.clusters]
    listed = {name: np.array(fine, np.float64) for name, fine in read_fine_evaluations(corpus).items()}
    rows = shared_out(np.array([fine / fine.sum() for fine in listed.values()]).T, centroids).T
    return Target(counts, composition, weighed(corpus, dict(zip(listed, rows, strict=True)), composition.T))


def by_cluster(documents: Floats, merged: np.ndarray) -> Floats:
    """(fine clusters, clusters) shares of the fine ones in each, by documents; merged: -1 where pruned."""
    inside = np.flatnonzero(merged >= 0)
    found = np.zeros((len(merged), int(merged.max()) + 1))
    found[inside, merged[inside]] = np.maximum(documents[inside], 1e-9)  # a cluster of none of them is shared alike
    shares: Floats = found / found.sum(axis=0)
    return shares


def centred(centroids: np.ndarray, documents: Floats) -> Floats:
    """Centroids without the mean of all documents, which vectors of one encoder share."""
    rows = centroids.astype(np.float64)
    moved: Floats = rows - documents @ rows / documents.sum()
    return moved


def shared_out(counts: Floats, centroids: Floats) -> Floats:
    """Columns of shares by fine cluster (topics, n), as shares of all topics."""
    found = np.zeros_like(counts)
    for start in range(0, len(centroids), BLOCK_ROWS):
        rows = slice(start, start + BLOCK_ROWS)
        found += memberships(centroids[rows], centroids).T @ counts[rows]
    return found


def memberships(vectors: Floats, centroids: Floats, temperature: float = TEMPERATURE) -> Floats:
    """(documents, topics) share of each topic in documents: a softmax of their cosines with the topics' centroids.

    vectors (documents, dimensions) and centroids (topics, dimensions) need not be normalised.
    """
    rows, columns = (
        values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12) for values in (vectors, centroids)
    )
    cosines = rows @ columns.T / temperature
    shares = np.exp(cosines - cosines.max(axis=1, keepdims=True))
    found: Floats = shares / shares.sum(axis=1, keepdims=True)
    return found
