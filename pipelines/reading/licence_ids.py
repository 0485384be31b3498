"""What a declared licence is called, as SPDX has it, and how freely it lets its text be used.

`licence_id` reads an address or a name. Ids are those of the SPDX list where it has one (CC-BY-SA-4.0,
CC-BY-3.0-DE, GFDL-1.3, OGL-UK-3.0), the same without a version where none is said (CC-BY-SA), and US-Government-Work.

`tier` has three steps, after MixtureVitae (arXiv:2509.25531), whose tiers grade sources (explicit open licences and
the public domain; curated permissive repositories; civic and government works); these grade the licence itself:

1. public domain and permissive, at most with attribution: CC0, CC BY, ODC-By, OGL, government works, MIT, Apache, BSD;
2. open with a condition on what is made of it (share-alike, copyleft): CC BY-SA, GFDL, GPL, MPL, ODbL;
3. everything else: no commercial use, no derivatives, a licence that is not known, or none.
"""

import html
import re
from functools import lru_cache
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

PERMISSIVE = re.compile(
    r"(?:CC0|CC-PDM|CC-PDDC|CC-BY|ODC-By|PDDL|OGL-UK|OGL-Canada|etalab|DL-DE-BY|DL-DE-ZERO|US-Government-Work"
    r"|Unlicense|0BSD|MIT|MIT-0|Apache|BSD-[1234]-Clause|ISC|Zlib|PSF|Python|PostgreSQL|BSL|WTFPL|Artistic|X11|NCSA"
    r"|W3C|OFL|Unicode)(?:-(?:\d+(?:\.\d+)*)(?:-[A-Z]{2,3})?)?"
)
SHARED_ALIKE = re.compile(
    r"(?:CC-BY-SA|GFDL|GPL|LGPL|AGPL|MPL|ODbL|EPL|EUPL|CDDL|LAL|OPUBL|CDLA-Sharing)(?:-.*)?",
)

# Ids of the SPDX list that pages name by their id or under opensource.org/licenses/, spdx.org/licenses/.
_KNOWN = (
    "0BSD AGPL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-1.1 Apache-2.0 Artistic-1.0 Artistic-2.0 BSD-2-Clause "
    "BSD-3-Clause BSD-4-Clause BSL-1.0 CC0-1.0 CDDL-1.0 CDLA-Permissive-2.0 CDLA-Sharing-1.0 EPL-1.0 EPL-2.0 "
    "EUPL-1.1 EUPL-1.2 GFDL-1.1 GFDL-1.2 GFDL-1.3 GFDL-1.1-only GFDL-1.2-only GFDL-1.3-only GFDL-1.1-or-later "
    "GFDL-1.2-or-later GFDL-1.3-or-later GPL-2.0 GPL-2.0-only GPL-2.0-or-later GPL-3.0 GPL-3.0-only "
    "GPL-3.0-or-later ISC LAL-1.2 LAL-1.3 LGPL-2.1 LGPL-2.1-only LGPL-2.1-or-later LGPL-3.0 LGPL-3.0-only "
    "LGPL-3.0-or-later MIT MIT-0 MPL-1.1 MPL-2.0 MS-PL NCSA ODbL-1.0 ODC-By-1.0 OFL-1.1 OGL-UK-1.0 OGL-UK-2.0 "
    "OGL-UK-3.0 OGL-Canada-2.0 PDDL-1.0 PostgreSQL Python-2.0 PSF-2.0 Unlicense W3C WTFPL X11 Zlib etalab-2.0 "
    "CC-PDM-1.0 CC-PDDC DL-DE-BY-2.0 DL-DE-ZERO-2.0"
)
SPDX = {known.lower(): known for known in _KNOWN.split(" ")}
SLUGS = {"apache2.0": "Apache-2.0", "bsd-license": "BSD-2-Clause", "mit-license": "MIT", "gpl-license": "GPL",
         "isc-license": "ISC", "bsd": "BSD-3-Clause"}  # fmt: skip

_SCHEME = re.compile(r"(?:https?:)?//(?:www\.)?|www\.")
_ADDRESS = re.compile(r"(?:https?:)?//|www\.|creativecommons\.org/", re.I)
_CC_ADDRESS = re.compile(
    r"creativecommons\.org/(?:licenses|publicdomain)/([a-z+-]+?)(?:/(\d\.\d))?(?:/([a-z]{2,5}))?(?:/|$|\.|\?|#|legalcode)"
)
_CC_PARTS = re.compile(r"by(?:-(?:nc|nd|sa))*")
_GNU = re.compile(r"gnu\.org/(?:licenses|copyleft)/(?:old-licenses/)?(fdl|gpl|lgpl|agpl)(?:-(\d\.\d))?")
_OGL = re.compile(r"nationalarchives\.gov\.uk/doc/open-government-licence(?:/version/(\d))?")
_SPDX_ADDRESS = re.compile(r"(?:opensource\.org/licenses?|spdx\.org/licenses|choosealicense\.com/licenses)/([\w.+-]+)")
_ADDRESSES = (
    (re.compile(r"apache\.org/licenses/license-(\d\.\d)"), "Apache-{}"),
    (re.compile(r"mozilla\.org/(?:en-us/)?mpl/(\d\.\d)"), "MPL-{}"),
    (re.compile(r"opendatacommons\.org/licenses/odbl(?:/(?:summary/)?(\d\.?\d?)\b)?"), "ODbL-1.0"),
    (re.compile(r"opendatacommons\.org/licenses/by(?:/|$)"), "ODC-By-1.0"),
    (re.compile(r"opendatacommons\.org/licenses/pddl(?:/|$)"), "PDDL-1.0"),
    (re.compile(r"unlicense\.org"), "Unlicense"),
    (re.compile(r"govdata\.de/dl-de/by-2-0"), "DL-DE-BY-2.0"),
    (re.compile(r"govdata\.de/dl-de/zero-2-0"), "DL-DE-ZERO-2.0"),
    (re.compile(r"open\.canada\.ca/en/open-government-licence-canada"), "OGL-Canada-2.0"),
    (re.compile(r"artlibre\.org/"), "LAL-1.3"),
    (re.compile(r"usa\.gov/(?:government-works|government-copyright)"), "US-Government-Work"),
)

_VERSION = r"(?:[ ,]*\(?(?:version|ver\.?|v\.?)?[ ]?(\d(?:\.\d)?)\b)?"
_MORE = re.compile(r"\s*[/+\u2013\u2014-]\s*[^\W\d]")  # a part of the name that is not understood
_CC_NAME = re.compile(
    r"(?:creative commons|cc)[ :-]*(?:licen[cs]e[ :-]*)?"
    r"((?:by|attribution)(?:[ /+\u2013-]*"
    r"(?:nc|non[ -]?commercial|nd|no[ -]?deriv(?:s|atives?|ative works)|sa|share[ -]?alike))*)\b"
    r"(?:[ -]*licen[cs]e)?(?:[ ]*\(?cc[ -]by[a-z -]*\)?)?[ -]*" + _VERSION,
    re.I,
)
_NAMES = (
    (re.compile(r"(?:creative commons )?(?:cc0|cc[ -]zero)\b|creative commons (?:public domain dedication|zero)", re.I),
     "CC0-1.0"),
    (re.compile(r"public domain mark|creative commons public domain mark", re.I), "CC-PDM-1.0"),
    (re.compile(r"(?:gnu )?(?:free documentation licen[cs]e|fdl\b)(?: \(?(?:gnu )?g?fdl\)?)?" + _VERSION, re.I),
     "GFDL-{}"),
    (re.compile(r"gfdl\b" + _VERSION, re.I), "GFDL-{}"),
    (re.compile(r"(?:gnu )?(?:affero general public licen[cs]e|agpl)" + _VERSION, re.I), "AGPL-{}"),
    (re.compile(r"(?:gnu )?(?:(?:lesser|library) general public licen[cs]e|lgpl)" + _VERSION, re.I), "LGPL-{}"),
    (re.compile(r"(?:gnu )?(?:general public licen[cs]e|gpl)(?: \((?:gnu )?gpl\))?" + _VERSION, re.I), "GPL-{}"),
    (re.compile(r"(?:uk )?open government licen[cs]e(?! ?-? canada)" + _VERSION, re.I), "OGL-UK-{}"),
    (re.compile(r"open government licen[cs]e ?-? canada", re.I), "OGL-Canada-2.0"),
    (re.compile(r"apache (?:software )?licen[cs]e" + _VERSION, re.I), "Apache-{}"),
    (re.compile(r"mozilla public licen[cs]e" + _VERSION, re.I), "MPL-{}"),
    (re.compile(r"(?:mit|expat) licen[cs]e", re.I), "MIT"),
    (re.compile(r"open (?:data commons open )?database licen[cs]e|odbl\b", re.I), "ODbL-1.0"),
    (re.compile(r"open data commons attribution licen[cs]e|odc-by\b", re.I), "ODC-By-1.0"),
    (re.compile(r"open publication licen[cs]e", re.I), "OPUBL-1.0"),
    (re.compile(r"(?:a )?(?:works?|publications?) of the (?:u\.?s\.?|united states) (?:federal )?government", re.I),
     "US-Government-Work"),
)  # fmt: skip


@lru_cache(maxsize=4096)
def licence_id(declared: str) -> str:
    """The SPDX-like id of a licence's address, id or name; "" for what is none that is known."""
    value = " ".join(html.unescape(declared).split())
    if not value or len(value) > 600:
        return ""
    if known := SPDX.get(value.lower()):
        return known
    return _of_address(value) if _ADDRESS.match(value) else _of_name(value.removeprefix("the ").removeprefix("The "))


def tier(licence: str) -> int:
    """1 permissive or public domain, 2 open with share-alike, 3 anything else; of an id or of what was declared."""
    known = licence_id(licence) or licence
    if SHARED_ALIKE.fullmatch(known):
        return 2
    return 1 if PERMISSIVE.fullmatch(known) else 3


def tiers(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    """int8 tier of every id."""
    column = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    coded = pc.dictionary_encode(column)
    return pa.array([tier(name) for name in coded.dictionary.to_pylist()], pa.int8()).take(coded.indices)


def _of_address(value: str) -> str:
    address = _SCHEME.sub("", unquote(value).lower(), count=1)
    if found := _CC_ADDRESS.match(address):
        return _creative_commons(*found.groups(default=""))
    if found := _GNU.match(address):
        return _versioned({"fdl": "GFDL"}.get(found[1], found[1].upper()) + "-{}", found[2])
    if found := _OGL.match(address):
        return _versioned("OGL-UK-{}", found[1] and f"{found[1]}.0")
    if found := _SPDX_ADDRESS.match(address):
        slug = re.sub(r"\.(?:html|php|txt|json)$|/$", "", found[1])
        return SPDX.get(slug) or SLUGS.get(slug, "")
    for pattern, name in _ADDRESSES:
        if found := pattern.match(address):
            return name.format(*found.groups()) if "{}" in name else name
    return ""


def _creative_commons(parts: str, version: str, port: str) -> str:
    if parts == "zero":
        return "CC0-1.0"
    if parts == "mark":
        return "CC-PDM-1.0"
    if parts in ("publicdomain", "certification"):
        return "CC-PDDC"
    pieces = parts.split("-")
    if not _CC_PARTS.fullmatch(parts) or len(set(pieces)) < len(pieces) or {"nd", "sa"} <= set(pieces):
        return ""
    ordered = [piece for piece in ("by", "nc", "nd", "sa") if piece in pieces]
    port = "" if port in ("deed", "legal", "rdf") or len(port) > 3 else port
    return "-".join(filter(None, ["CC", *map(str.upper, ordered), version, version and port.upper()]))


def _of_name(value: str) -> str:
    if found := _CC_NAME.match(value):
        if _MORE.match(value, found.end(1)):
            return ""
        said = found[1].lower()
        kinds = {"nc": r"\bnc\b|commercial", "nd": r"\bnd\b|deriv", "sa": r"\bsa\b|alike"}
        parts = ["by", *(kind for kind, pattern in kinds.items() if re.search(pattern, said))]
        return _creative_commons("-".join(parts), _full(found[2]), "")
    for pattern, name in _NAMES:
        if found := pattern.match(value):
            return _versioned(name, found[1]) if "{}" in name else name
    return ""


def _versioned(name: str, version: str | None) -> str:
    return name.format(_full(version)) if version else name.removesuffix("-{}")


def _full(version: str | None) -> str:
    return f"{version}.0" if version and "." not in version else version or ""
