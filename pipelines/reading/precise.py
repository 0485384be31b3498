"""HTML to text with trafilatura: more exact than resiliparse, and about ten times slower.

Settings as FineWeb's: precision before recall, no comments, tables kept; but without its deduplication, whose memory
of earlier pages would make a text depend on the order of pages, and without a clock: a timeout would make the corpus
depend on the machine's load. What takes too long is bounded by the page instead: its size, and its depth by libxml2,
which reads no deeper than 256 elements or so, so that deeper pages come out empty.
"""

import re
from functools import lru_cache
from importlib import import_module
from typing import Any

from pipelines.errors import DropRecord, InputError

MAX_CHARS = 4 << 20  # larger pages take minutes

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]{0,400}\?>")


def precise_text(html: str) -> str:
    """The page's main text, "" where there is none.

    Raises DropRecord `too_large`, InputError where trafilatura is not installed.
    """
    trafilatura = installed()
    if len(html) > MAX_CHARS:
        raise DropRecord("too_large")
    found = trafilatura.extract(
        _DECLARATION.sub("", html), favor_precision=True, include_comments=False, deduplicate=False
    )
    return found or ""


@lru_cache(maxsize=1)
def installed() -> Any:
    """The library; raises InputError where it is not installed."""
    try:
        return import_module("trafilatura")
    except ImportError:
        raise InputError(
            "ingest.extractor = trafilatura, which is not installed: pip install 'sirdar[trafilatura]', "
            "or set ingest.extractor = resiliparse"
        ) from None
