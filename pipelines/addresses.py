"""Addresses of stages, each worked out once a corpus: those of later stages ask for it thousands of times."""

from collections.abc import Callable
from functools import wraps

from pipelines.corpus import Corpus
from pipelines.store import Stage

Address = Callable[..., Stage]


def remembered(address: Address) -> Address:
    """An address that settings alone decide."""
    return _once(address, lambda corpus: corpus.addresses)


def settled(address: Address) -> Address:
    """An address that contents decide, worked out once until a stage that was asked for its content has another."""
    return _once(address, lambda corpus: corpus.settled)


def _once(address: Address, memory: Callable[[Corpus], dict[tuple[str, ...], Stage]]) -> Address:
    @wraps(address)
    def once(corpus: Corpus, *crawl: str) -> Stage:
        key = (address.__name__, *crawl)
        if key not in memory(corpus):
            memory(corpus)[key] = address(corpus, *crawl)
        return memory(corpus)[key]

    return once
