"""Domains that a person brings along: with `clusters.by = "source"` the buckets are where a crawl's files lie.

Nothing is embedded then. A domain is a folder directly below the crawl's root, or a file there; no two have one name.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pipelines.corpus import Corpus
from pipelines.crawls import CRAWL_FILES, listed, registered
from pipelines.errors import InputError
from pipelines.store import Workspace

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


def of_files(files: Iterable[str], place: str) -> set[str]:
    """The domains of one crawl's files.

    InputError where a folder and a file, or two files, have one name: whether they are one domain nobody could tell,
    and of a folder beside its packed copy every text would be there twice.
    """
    known: dict[str, str] = {}
    for relative in sorted(files):
        first, slash, _ = relative.partition("/")
        before = known.setdefault(domain_of(relative), first + slash)
        if before != first + slash:
            raise InputError(
                f"{place} holds {before!r} and {first + slash!r}, and both would be the domain {domain_of(relative)!r};"
                " put them into one folder if they are one, else give one another name"
            )
    return set(known)


def several(found: Iterable[str], place: str) -> tuple[str, ...]:
    """These domains in their order by name; InputError where there are not at least two."""
    named = sorted(set(found))
    if len(named) < 2:
        raise InputError(
            f"{place} holds {len(named)} domain{'s' * (not named)} ({', '.join(named) or 'no file'}), and a mixture"
            " needs at least two; give the folder in which each domain is one file, or one folder of files"
        )
    return tuple(named)


def added(workspace: Workspace, crawl: str, inputs: Sequence[str]) -> set[str]:
    """The domains of a crawl once these inputs are registered for it, which nothing would take back."""
    known = next((one.files for one in registered(workspace) if one.name == crawl), {})
    return of_files({**known, **listed(inputs)}, ", ".join(inputs))


def domains(corpus: Corpus) -> tuple[str, ...]:
    """The domains of the fit crawls, by name: the number of each is its fine cluster."""
    of_crawls = [of_files(corpus.crawl(crawl).files, f"crawl {crawl}") for crawl in corpus.fit_crawls]
    return several(set().union(*of_crawls), f"crawl {', '.join(corpus.fit_crawls)}")
