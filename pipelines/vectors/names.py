"""Names of clusters: the terms that set a cluster's documents apart from all others.

A term's worth is p log(p / q): p the share of the cluster's documents that hold it, q its share in the one
other cluster where it is commonest. Class-based TF-IDF (BERTopic, Grootendorst 2022, equation 2) compares
with the mean of all clusters instead; with several clusters of several languages that names each after the
function words of its language ("sont, plus, comme"), which no list of stop words holds all of. Shares of
documents, not counts, so that a long document that repeats one word names nothing.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache as remembered
from math import log

import numpy as np
import numpy.typing as npt

MAX_CHARS = 4000  # of a document that are read; names need no more
MIN_TERM_CHARS, MAX_TERM_CHARS = 3, 24  # longer runs are addresses, keys, or scripts without spaces
SMOOTHING = 0.01  # added to both shares: a word of few documents is not infinitely telling
NAME_TERMS = 3

# Function words beyond pipelines.text.stopwords, whose short lists are for judging text: a language with one cluster
# has no sister cluster to compare with.
MORE_STOP_WORDS = {
    "de": "auch aber bei bis durch einem einen einer eines hat kann nach nur oder sein seine sind sowie um war waren "
    "werden wird wie wurde wurden zum zur dass diese dieser dieses haben mehr noch unter vom über zwischen",
    "en": "also are been but can each from had has her his how into its made many may more most not often one only "
    "other our out over she should some such than their them then there these they this through under until used "
    "using was were what when where which while who will would you your about after all any because both "
    "could did does during first he here him however if like no now so two up we well",
    "es": "algunos ante antes aunque cada como cual cuando cuya cuyo desde donde dos durante ella entre era eran ese "
    "esta está están este esto estos fue fueron gran hace hacia han hasta hay más mayor mediante mismo muchos muy ni "
    "otra otras otro otros parte pero poco porque puede pueden qué según ser sea sido siendo sin sobre solo sólo sus "
    "también tanto tiene tienen todo todos tras una unas uno unos varios vez",
    "fr": "ainsi alors après aussi autre autres aux avait avant avec bien car ces cet cette ceux chaque comme deux "
    "depuis dont elle elles encore entre est être fait fut ils jusque leur leurs lors lorsque mais même moins non "
    "notamment nous ont ou par parfois peut peuvent plus plusieurs puis quand sans selon ses soit son sont "
    "souvent sous très tous tout toute toutes un une vers étaient était été",
}

_WORD = re.compile(rf"[^\W\d_]{{{MIN_TERM_CHARS},}}")


def name_clusters(
    texts: Sequence[str], clusters: npt.NDArray[np.integer], *, num_terms: int = 10
) -> dict[int, tuple[str, list[str]]]:
    """cluster -> (name, terms): its top terms, best first, and up to three of them as a unique name.

    `texts` is a sample of documents and `clusters` their clusters [n]; negative ones are left out. A cluster
    none of whose words is telling is called `cluster-N`. The order of the documents does not matter.
    """
    shares = _shares(texts, clusters)
    commonest = _two_commonest(shares)
    return dict(_named({cluster: _top(cluster, shares, commonest, num_terms) for cluster in sorted(shares)}))


def _shares(texts: Sequence[str], clusters: npt.NDArray[np.integer]) -> dict[int, dict[str, float]]:
    """cluster -> term -> share of the cluster's documents that hold it."""
    counts, sizes = _document_counts(texts, clusters)
    least = {cluster: 2 if size >= 10 else 1 for cluster, size in sizes.items()}  # no name from one document of many
    return {
        cluster: {term: count / sizes[cluster] for term, count in terms.items() if count >= least[cluster]}
        for cluster, terms in counts.items()
    }


def _document_counts(
    texts: Sequence[str], clusters: npt.NDArray[np.integer]
) -> tuple[dict[int, Counter[str]], Counter[int]]:
    """Documents of each cluster that hold a term, and documents of each cluster."""
    found: dict[int, Counter[str]] = {}
    sizes: Counter[int] = Counter()
    for text, cluster in zip(texts, clusters.tolist(), strict=True):
        if cluster >= 0:
            sizes[cluster] += 1
            found.setdefault(cluster, Counter()).update(_terms(text))
    return found, sizes


def _terms(text: str) -> Iterable[str]:
    words = {word for word in _WORD.findall(text[:MAX_CHARS].lower()) if len(word) <= MAX_TERM_CHARS}
    return words - _stop_words()


@remembered
def _stop_words() -> frozenset[str]:
    """Of every language: a cluster's language is seen from its terms all the same."""
    from pipelines.text.stopwords import STOP_WORDS

    listed = (word.lower() for words in STOP_WORDS.values() for word in words)
    return frozenset(listed) | frozenset(" ".join(MORE_STOP_WORDS.values()).split())


def _two_commonest(shares: dict[int, dict[str, float]]) -> dict[str, list[float]]:
    """term -> its one or two largest shares: whatever the cluster, the largest share elsewhere is among them."""
    found: dict[str, list[float]] = {}
    for terms in shares.values():
        for term, share in terms.items():
            found[term] = sorted([*found.get(term, []), share], reverse=True)[:2]
    return found


def _top(
    cluster: int, shares: dict[int, dict[str, float]], commonest: dict[str, list[float]], number: int
) -> list[str]:
    scored = []
    for term, share in shares[cluster].items():
        largest = commonest[term]
        elsewhere = largest[0] if share < largest[0] else (*largest[1:], 0.0)[0]
        worth = share * log((share + SMOOTHING) / (elsewhere + SMOOTHING))
        if worth > 0:
            scored.append((-worth, term))
    return [term for _, term in sorted(scored)[:number]]


def _named(terms: dict[int, list[str]]) -> Iterator[tuple[int, tuple[str, list[str]]]]:
    taken: set[str] = set()
    for cluster, best in terms.items():
        name = "-".join(best[:NAME_TERMS]) or f"cluster-{cluster}"
        if name in taken:
            name = f"{name}-{cluster}"
        taken.add(name)
        yield cluster, (name, best)
