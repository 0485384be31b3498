"""Addresses in one form, their hosts and registered domains.

The canonical form is RFC 3986's (section 6.2.2: case, percent-encoding, dot segments; 6.2.3: default port, empty path)
and some of WHATWG's: surrounding space, tabs and line ends gone, the host in ASCII (IDNA). Beyond them go, because they
never say which page it is: the fragment, user and password, the dot after the host, and parameters that only track
(TRACKING). Parameters keep their order: servers may heed it.

That two documents have one canonical address is no reason to drop either: pages change between crawls, and what is the
same in them is found by content.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_to_bytes

import pyarrow as pa

DEFAULT_PORTS = {"http": "80", "https": "443", "ftp": "21"}
TRACKING = frozenset(
    {
        "fbclid",
        "gclid",
        "gclsrc",
        "dclid",
        "gbraid",
        "wbraid",
        "msclkid",
        "twclid",
        "ttclid",
        "yclid",
        "ysclid",
        "igshid",
    }
    | {"mc_cid", "mc_eid", "mkt_tok", "_ga", "_gl", "_hsenc", "_hsmi", "vero_id", "oly_anon_id", "oly_enc_id", "s_cid"}
    | {"phpsessid", "jsessionid", "sid_tracking", "srsltid", "epik", "li_fat_id", "wickedid"}
)
OUTER = "".join(map(chr, range(33)))
MAX_CHARS = 8192  # of an address that is normalised; longer ones are left as they are

_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://")
_PARTS = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://([^/?#\\]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?", re.S)
# Of the web, and in canonical form but for a last slash, when it holds no "/." either.
_CANONICAL = re.compile(r"https?://([a-z0-9_.-]*[a-z0-9_-])(?:/[!\"$&->@-\[\]-~]*)?")
_RESERVED = re.compile(r"[/?#@:\[\]\\%\s]")
_AUTHORITY = re.compile(r"(\[[^\]]*\]|[^:]*)(?::(\d*))?", re.S)
_DROPPED = re.compile(r"[\t\r\n]+")
_PERCENT = re.compile(r"%([0-9a-fA-F]{2})?|[^\x21-\x7e]+")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ADDRESS = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|\[.*\]")


def canonical(url: str) -> str:
    """The address in its canonical form; what is no absolute address comes back without outer space only."""
    url = _DROPPED.sub("", url.strip(OUTER)) if not url.isprintable() or " " in url else url
    found = _PARTS.fullmatch(url) if len(url) <= MAX_CHARS else None
    if not found or not _AUTHORITY.fullmatch(found[2].rpartition("@")[2]):
        return url
    scheme, authority, path, query = found[1].lower(), found[2], found[3], found[4]
    host, port = _host_and_port(authority)
    if port and port != DEFAULT_PORTS.get(scheme):
        host = f"{host}:{port}"
    path = _path(path.replace("\\", "/") if scheme in DEFAULT_PORTS else path)
    query = _query(query) if query else ""
    return f"{scheme}://{host}{path}?{query}" if query else f"{scheme}://{host}{path}"


def host(url: str) -> str:
    """The address's host in lower case and ASCII, without port; "" where there is none."""
    found = _PARTS.match(url if url.isprintable() and " " not in url else _DROPPED.sub("", url.strip(OUTER)))
    return _host_and_port(found[2])[0] if found else ""


def registered_domain(host: str) -> str:
    """The part of a host that its owner registered, by the ICANN section of the public suffix list.

    "" for addresses, for suffixes themselves, and for hosts without a dot.
    """
    return "" if _ADDRESS.fullmatch(host) else _suffixes().privatesuffix(host) or ""


def domains(urls: Sequence[str]) -> pa.Array:
    """The registered domain of every address."""
    known = lru_cache(maxsize=100_000)(registered_domain)
    return pa.array([known(host(url)) for url in urls], pa.string())


@lru_cache(maxsize=1)
def _suffixes() -> Any:
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(only_icann=True)


def key(url: str) -> str:
    """What lists of addresses are looked up by: the canonical form without scheme, `www.` and a last slash."""
    return canonical(absolute(url)).partition("://")[2].removeprefix("www.").rstrip("/")


def key_and_host(url: str) -> tuple[str, str]:
    """`key(url)`, and `host` of the address with a scheme; most addresses of a crawl need no other form for either."""
    found = _CANONICAL.fullmatch(url)
    if found and "/." not in url:
        return url[found.start(1) :].removeprefix("www.").rstrip("/"), found[1]
    return key(url), host(absolute(url))


def absolute(url: str) -> str:
    """The address with a scheme: files of rows often hold addresses without one."""
    url = _DROPPED.sub("", url.strip(OUTER))
    return url if _SCHEME.match(url) else f"http://{url.removeprefix('//')}"


# ---------------------------------------------------------------------------------------------------------
# Parts


def _host_and_port(authority: str) -> tuple[str, str]:
    authority = authority.rpartition("@")[2]
    found = _AUTHORITY.fullmatch(authority)
    return (plain_host(found[1]), (found[2] or "").lstrip("0")) if found else ("", "")


def plain_host(name: str) -> str:
    """A host name in lower case and ASCII, without the dot of the root; no name that can be, as it is."""
    name = name.lower().rstrip(".")
    if name.isascii() and "%" not in name:
        return name
    plain = unquote_to_bytes(name).decode("utf-8", "replace").lower().rstrip(".")
    if _RESERVED.search(plain):
        return name
    with suppress(UnicodeError):
        return plain.encode("idna").decode("ascii").lower().rstrip(".")
    return plain


def _path(path: str) -> str:
    path = _percent(path)
    if "/." not in path:
        return path or "/"
    kept: list[str] = []
    *middle, last = path.split("/")[1:]
    for segment in middle:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if last == "..":
        del kept[-1:]
    kept.append("" if last in (".", "..") else last)
    return "/" + "/".join(kept)


def _query(query: str) -> str:
    pieces = [piece for piece in query.split("&") if piece and not _tracks(piece.partition("=")[0].lower())]
    return _percent("&".join(pieces))


def _tracks(name: str) -> bool:
    return name in TRACKING or name.startswith(("utm_", "pk_", "piwik_", "matomo_"))


def _percent(part: str) -> str:
    """Escapes in upper case, none for characters that need none, one for those that do."""
    if "%" not in part and part.isascii() and part.isprintable() and " " not in part:
        return part
    return _PERCENT.sub(_escape, part)


def _escape(found: re.Match[str]) -> str:
    if found[1]:
        byte = int(found[1], 16)
        return chr(byte) if byte in _UNRESERVED else f"%{byte:02X}"
    if found[0] == "%":
        return "%25"
    return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace"))
