"""Domains that a person brings along: with `clusters.by = "source"` the buckets are where a crawl's files lie.

Nothing is embedded then. A domain is a folder directly below the crawl's root, or a file there.
"""

from collections.abc import Iterable
from typing import Any

from pipelines.corpus import Corpus
from pipelines.crawls import CRAWL_FILES
from pipelines.errors import InputError

# Laid under what a person chooses for such a corpus: documents that somebody sorted are neither judged nor edited.
# Near-copies still leave, since those of the targets must.
SETTINGS: dict[str, Any] = {
    "clusters": {"by": "source"},
    "quality": {"preset": "everything", "languages": [], "min_language_score": 0.0},
    "edits": {"c4_lines": False, "emails": False, "ip_addresses": False},
}


def domain_of(relative: str) -> str:
    """The first folder of a file's path below its crawl's root; of a file right there, its name without endings."""
    first, slash, _ = relative.partition("/")
    if slash:
        return first
    endings = [ending for ending in CRAWL_FILES if first.lower().endswith(ending)]
    return first[: -len(max(endings, key=len))] if endings else first


def several(files: Iterable[str], place: str) -> tuple[str, ...]:
    """The domains of these files in their order by name; InputError where there are not at least two."""
    found = sorted({domain_of(relative) for relative in files})
    if len(found) < 2:
        raise InputError(
            f"{place} holds {len(found)} domain{'s' * (not found)} ({', '.join(found) or 'no file'}), and a mixture"
            " needs at least two; give the folder in which each domain is one file, or one folder of files"
        )
    return tuple(found)


def domains(corpus: Corpus) -> tuple[str, ...]:
    """The domains of the fit crawls, by name: the number of each is its fine cluster."""
    files = [relative for crawl in corpus.fit_crawls for relative in corpus.crawl(crawl).files]
    return several(files, f"crawl {', '.join(corpus.fit_crawls)}")
