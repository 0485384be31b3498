"""What is an e-mail or IP address, in the UTF-8 bytes around a place where one may be.

The reader is meant to lose no version number, file name or command: where the surroundings say that it is one of
these, it stays. Every look is at a bounded stretch of bytes.
"""

import ipaddress
import re

MAX_LOCAL, MAX_DOMAIN, MAX_BEFORE = 64, 253, 24  # RFC 5321's, in bytes; and how far back a word before is looked for

# Letters of Latin scripts beyond ASCII (U+00C0 to U+024F) are C3 80 to C9 8F.
_LATIN = rb"[\xc3-\xc9][\x80-\xbf]"
_LOCAL = re.compile(rb"(?:[A-Za-z0-9.!#$%&'*+^_~-]|" + _LATIN + rb")+\Z")
_DOMAIN = re.compile(rb"(?:[A-Za-z0-9.-]|" + _LATIN + rb")+")
_EDGES = b".!#$%&'*+^~-"  # may stand inside the part before the @, not at its beginning
_LABEL = re.compile(rb"(?!-)(?:[A-Za-z0-9-]|" + _LATIN + rb"){1,63}(?<!-)\Z")
_LAST_LABEL = re.compile(rb"(?:[A-Za-z]|" + _LATIN + rb"){2,24}\Z|xn--[a-z0-9-]+\Z", re.IGNORECASE)
_RESERVED = frozenset(b"example test invalid localhost localdomain local".split())  # last labels
_EXAMPLES = (b"example.com", b"example.net", b"example.org")
_NO_DOMAINS = frozenset(  # endings of files and units; none is a top-level domain
    b"conf css deb desktop device dll exe gif gz htm html jar jpeg jpg js json mount path pdf php png rpm scope "
    b"service slice socket svg swap tar target tgz timer txt webp xml yaml yml".split()
)
_REPOSITORY_USERS = (b"git", b"hg", b"svn")

_VERSION_BEFORE = re.compile(
    rb"(?:\b(?:version|versions|ver|v|release|rel|build|firmware|section|sections|sect|sec|chapter|clause|paragraph|"
    rb"revision|rev|oid|figure|table|appendix)(?:[\s.:#=]|\xc2\xa0)*|\xc2\xa7(?:\s|\xc2\xa0)*)\Z",
    re.IGNORECASE,
)
_JOINS_BEFORE = re.compile(rb"[A-Za-z0-9_.+~$#\\-]\Z|(?<!/)/\Z")  # parts of a longer name, number or path
_JOINS_AFTER = re.compile(rb"[A-Za-z0-9_]|[.+~-][A-Za-z0-9]|/[0-9]")  # of a name or number, or the size of a network
_LINE_BEFORE = re.compile(rb"(?:\A|\n)[ \t]*\Z")
_NOT_PUBLIC = tuple(
    ipaddress.IPv4Network(network)
    for network in (  # IANA's special-purpose registry, multicast, and what is reserved for ever
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/3",
    )
)  # fmt: skip
_DOCUMENTATION = (ipaddress.IPv6Network("2001:db8::/32"), ipaddress.IPv6Network("3fff::/20"))
_SMALL = 10


def email_span(text: bytes, at: int) -> tuple[int, int] | None:
    """(start, end) of the e-mail address around the @ at byte `at`, if there is one that is not reserved."""
    local = _LOCAL.search(text, max(0, at - MAX_LOCAL - 2), at)
    domain = _DOMAIN.match(text, at + 1, at + 1 + MAX_DOMAIN)
    if not local or not domain:
        return None
    before = local[0].rpartition(b"..")[2].lstrip(_EDGES)
    if not before or len(before) > MAX_LOCAL or before[-1:] in (b".", b"'"):
        return None
    start = at - len(before)
    labels = domain[0].partition(b"..")[0].split(b".")
    while len(labels) > 1 and not _LAST_LABEL.match(labels[-1]):
        labels.pop()  # a point that ends the sentence, the number of a footnote
    last = labels[-1].lower()
    if len(labels) < 2 or not all(map(_LABEL.match, labels)) or last in _NO_DOMAINS or last in _RESERVED:
        return None
    if b".".join(labels[-2:]).lower() in _EXAMPLES or before.lower() in _REPOSITORY_USERS:
        return None
    if text[max(0, start - 2) : start] == b"//":
        return None  # a user name in an address of the web
    return start, at + 1 + sum(map(len, labels)) + len(labels) - 1


def is_public_ipv4(text: bytes, start: int, end: int) -> bool:
    """Whether the four numbers at `start:end` are a public address, and not a version, section or part of a name."""
    if _JOINS_AFTER.match(text, end) or _JOINS_BEFORE.search(text, max(0, start - 2), start):
        return False
    numbers = bytes(text[start:end])
    if all(int(number) < _SMALL for number in numbers.split(b".")):
        return False  # 2.4.1.3 is a section or a version; the addresses that look so are public name servers
    address = ipaddress.IPv4Address(numbers.decode())
    if any(address in network for network in _NOT_PUBLIC):
        return False
    if text[end : end + 1] == b"." and _LINE_BEFORE.search(text, max(0, start - MAX_BEFORE), start):
        return False  # the number of a heading
    return not _VERSION_BEFORE.search(text, max(0, start - MAX_BEFORE), start)


def public_ipv6(text: bytes, start: int, end: int) -> tuple[int, bytes] | None:
    """(end, canonical form) of the global unicast IPv6 address from `start` to `end`, or to the colon before it."""
    if _JOINS_BEFORE.search(text, max(0, start - 2), start) or text[start - 1 : start] == b":":
        return None
    end -= text[end - 1 : end] == b":" and text[end - 2 : end] != b"::"  # the colon of a sentence
    if _JOINS_AFTER.match(text, end):
        return None
    try:
        address = ipaddress.IPv6Address(text[start:end].decode())
    except ValueError:
        return None
    return None if any(address in network for network in _DOCUMENTATION) else (end, address.packed)
