"""What a page's owner says about its use by machines: robots directives and the text-mining reservation.

Read, kept as columns, and judged only by `opt_out_reasons`. Three sources:

- robots directives, in the header X-Robots-Tag and in <meta name="robots">. Search engines define noindex,
  noarchive, nosnippet and the like (RFC 9309 covers robots.txt alone); `noai` and `noimageai` came from DeviantArt
  in 2022, have no standard, and are honoured by some collectors.
- the TDM Reservation Protocol (W3C community group, final report of February 2024, sections 4 to 6): `tdm-reservation`
  is 1 or 0, `tdm-policy` an address; header fields first, then <meta> of the same names. The site-wide file
  /.well-known/tdmrep.json is no part of a page and not read.
- Content-Usage (draft-ietf-aipref-attach with the vocabulary of draft-ietf-aipref-vocab; working drafts, no RFC):
  `train-ai=n` and `train-ai=y` are kept among the robots directives.

In the header, a directive for a named robot is kept with its name before it (`googlebot:noindex`) and judges nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.reading.markup import Markup

DIRECTIVES = frozenset(
    {"noindex", "nofollow", "none", "noarchive", "nocache", "nosnippet", "notranslate", "noimageindex", "noai"}
    | {"noimageai", "indexifembedded", "train-ai=n", "train-ai=y"}
)
VALUED = frozenset({"max-snippet", "max-image-preview", "max-video-preview"})
OPT_OUTS = {"noai": "opt_out_noai", "train-ai=n": "opt_out_train_ai"}  # noindex and noarchive speak of search engines
MAX_CHARS = 2000  # of a value that is read

_AGENT = re.compile(r"([a-z][a-z0-9_.-]{0,40})\s*:\s*(.*)", re.S)
_USAGE = re.compile(r"(?:^|[,\s])train-ai\s*=\s*([yn])\b")


@dataclass(frozen=True, slots=True)
class Said:
    robots: str = ""  # directives, sorted, with commas between
    tdm: str = ""  # "1" reserved, "0" not, "" unsaid
    policy: str = ""


NOTHING = Said()


def of_headers(headers: Mapping[str, str]) -> Said:
    """By lower-case field name, as `pipelines.reading.payload.fields` gives them."""
    robots, usage = headers.get("x-robots-tag", ""), headers.get("content-usage", "")
    tdm, policy = headers.get("tdm-reservation", ""), headers.get("tdm-policy", "")
    if not (robots or usage or tdm or policy):
        return NOTHING
    found = set(_directives(robots))
    found.update(f"train-ai={value}" for value in _USAGE.findall(usage[:MAX_CHARS].lower()))
    return Said(",".join(sorted(found)), _reservation(tdm), _policy(policy))


def of_page(page: Markup, headers: Said = NOTHING) -> Said:
    """What headers and page say together; the header's reservation counts before the page's."""
    robots = set(filter(None, headers.robots.split(",")))
    tdm, policy = headers.tdm, headers.policy
    for tag in page.metas(b"robots"):
        if tag.get(b"name").lower() == "robots":
            robots.update(_directives(tag.get(b"content")))
    for tag in page.metas(b"tdm-reservation"):
        tdm = tdm or (_reservation(tag.get(b"content")) if tag.get(b"name").lower() == "tdm-reservation" else "")
    for tag in page.metas(b"tdm-policy"):
        policy = policy or (_policy(tag.get(b"content")) if tag.get(b"name").lower() == "tdm-policy" else "")
    return Said(",".join(sorted(robots)), tdm, policy)


def opt_out_reasons(robots: pa.Array, tdm: pa.Array) -> pa.Array:
    """The opt-out of each page, from its columns `robots` and `tdm`: `opt_out_tdm`, `opt_out_noai`,
    `opt_out_train_ai`, or null where there is none.

    A reservation with a policy is a reservation too: the policy tells how to get a licence, not that there is one.
    """
    reasons = pc.if_else(pc.equal(_flat(tdm), "1"), "opt_out_tdm", pa.scalar(None, pa.string()))
    for directive, reason in OPT_OUTS.items():
        said = pc.match_substring_regex(_flat(robots), f"(^|,){re.escape(directive)}(,|$)")
        reasons = pc.if_else(pc.and_(said, pc.is_null(reasons)), reason, reasons)
    return reasons


def _flat(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _directives(value: str) -> Iterator[str]:
    """Known directives; after `name:` those that follow are for the robot of that name, as in X-Robots-Tag."""
    agent = ""
    for item in value[:MAX_CHARS].lower().split(","):
        item = item.strip()
        named = _AGENT.fullmatch(item)
        if named and named[1] not in VALUED and named[1] != "unavailable_after":
            agent, item = f"{named[1]}:", named[2].strip()
        agent = "" if agent == "*:" else agent
        if item in DIRECTIVES:
            yield agent + item
        elif (named := _AGENT.fullmatch(item)) and named[1] in VALUED and named[2].lstrip("-").isalnum():
            yield f"{agent}{named[1]}:{named[2]}"


def _reservation(value: str) -> str:
    value = value.strip()
    return value if value in ("0", "1") else ""


def _policy(value: str) -> str:
    value = value.strip()
    return value if len(value) <= MAX_CHARS and value.lower().startswith(("http://", "https://", "/")) else ""
