"""Personal data in a fixed form: e-mail addresses, public IP addresses, telephone numbers, replaced by reserved ones.

What stands for a value depends on the value alone, so neither on the order of the documents nor on how they are
spread over workers, and one value is one replacement wherever it stands: e-mail addresses at RFC 2606's example
domains, IP addresses of RFC 5737's and RFC 3849's documentation ranges, North American numbers of the 100 kept for
fiction. There are about a thousand of each at most, so that none of them leads back to the value. Values that are
reserved themselves are left, so that a second pass changes nothing.

Precision comes before recall; pipelines/edits/addresses.py holds what counts as an address, and telephone.py as a
number. A compiled pass finds the few places where one may be, so that text without any costs about as much as
copying it.

Against datatrove's PIIFormatter, which replaces e-mail and public IPv4 addresses. It takes from a fixed list in turn,
so its output depends on the order of documents, and it knows no word boundary: `lodash@4.17.21`, `getty@tty1.service`,
`icon@2x.png` and `git@github.com:` are e-mail addresses to it, and IP addresses the versions in `v 1.20.30.40`,
`pkg-81.20.30.40.tar.gz` and `Firefox/23.0.1.17`, four numbers of a longer row (`1.3.6.1.4.1`), numbers of sections,
and multicast. What it finds and this leaves besides: `a@[8.8.8.8]`, domains that end in a digit (`a@b.c1`) or in
`.local`, user names in URLs, example domains, networks (`8.8.8.0/24`), and IP addresses whose numbers are all below
ten (1.1.1.1). What this finds and it does not: IPv6 addresses, telephone numbers, letters beyond ASCII in an address.
Neither finds addresses that are spelled out (`joe at bar dot com`).
"""

import numba
import numpy as np
import pyarrow as pa
import xxhash

from pipelines.edits.addresses import email_span, is_public_ipv4, public_ipv6
from pipelines.edits.characters import text_bytes
from pipelines.edits.spans import Span, spans_array
from pipelines.edits.telephone import is_north_american, number_span
from pipelines.settings import Edits

EMAIL, IP, PHONE = "email", "ip_address", "phone_number"  # where two overlap, the first of these stands
_PRIORITY = {EMAIL: 0, IP: 1, PHONE: 2}
_DOMAINS = ("com", "net", "org")
_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")


def replacements(texts: pa.Array | pa.ChunkedArray, settings: Edits) -> pa.Array:
    """The edits that replace personal data, of type EDITS."""
    data, bounds = text_bytes(texts)
    candidates = _candidates(
        data, bounds, _BEGINS, _JOINS, settings.emails, settings.ip_addresses, settings.phone_numbers
    )
    found: list[list[Span]] = [[] for _ in range(len(bounds) - 1)]
    row, text = -1, b""
    for number, kind, start, end in candidates:
        if number != row:
            row, text = number, bytes(data[bounds[number] : bounds[number + 1]])
        span = _span(text, kind, start, end)
        if span:
            found[row].append(span)
    return spans_array([_without_overlaps(spans) for spans in found])


def _span(text: bytes, kind: int, start: int, end: int) -> Span | None:
    """The replacement of what stands at a candidate's place, if it is what it may be."""
    if kind == _AT:
        bounds = email_span(text, start)
        return bounds and Span(*bounds, _email(text[slice(*bounds)]), EMAIL)
    if kind == _IPV4:
        return Span(start, end, _ipv4(text[start:end]), IP) if is_public_ipv4(text, start, end) else None
    if kind == _IPV6:
        found = public_ipv6(text, start, end)
        return found and Span(start, found[0], _ipv6(found[1]), IP)
    bounds = number_span(text, start, end) if kind == _PHONE else None
    if not bounds and is_north_american(text, start, end):
        bounds = start, end
    return bounds and Span(*bounds, _phone(text[slice(*bounds)]), PHONE)


def _without_overlaps(spans: list[Span]) -> list[Span]:
    kept: list[Span] = []
    for span in sorted(spans):
        if not kept or span.start >= kept[-1].end:
            kept.append(span)
        elif _PRIORITY[span.reason] < _PRIORITY[kept[-1].reason]:
            kept[-1] = span
    return kept


# ---------------------------------------------------------------------------------------------------------
# What stands for a value


def _number(value: bytes, count: int) -> int:
    """One of `count` numbers, by the value alone: far fewer than there are values, so that it tells none of them."""
    return int(xxhash.xxh3_64_intdigest(value) % count)


def _email(address: bytes) -> str:
    number = _number(address.lower(), 1000 * len(_DOMAINS))
    return f"email{number // len(_DOMAINS)}@example.{_DOMAINS[number % len(_DOMAINS)]}"


def _ipv4(address: bytes) -> str:
    number = _number(address, 254 * len(_NETWORKS))
    return f"{_NETWORKS[number % len(_NETWORKS)]}.{number // len(_NETWORKS) + 1}"


def _ipv6(address: bytes) -> str:
    return f"2001:db8::{_number(address, 0xFFF) + 1:x}"


def _phone(number: bytes) -> str:
    """One of the numbers 555-0100 to 555-0199, which are in use nowhere in North America."""
    digits = bytes(byte for byte in number if 0x30 <= byte <= 0x39)
    last = f"202-555-{_number(digits, 100) + 100:04d}"
    return f"+1-{last}" if number.startswith(b"+") else last


# ---------------------------------------------------------------------------------------------------------
# Where one may be

_AT, _IPV4, _IPV6, _PHONE, _NORTH_AMERICAN = range(1, 6)
_DIGIT, _OPEN = 6, 7
_BEGINS = np.zeros(256, np.uint8)
_BEGINS[ord("@")] = _AT
_BEGINS[0x30:0x3A] = _DIGIT
_BEGINS[[ord("+"), ord("(")]] = _OPEN
_JOINS = np.zeros(256, np.bool_)
_JOINS[list(b" .-()/")] = True


@numba.njit(cache=True)
def _candidates(data, bounds, begins, joins, emails, addresses, phones):  # type: ignore[no-untyped-def]
    """(row, kind, start, end) of places in each text: every @, and runs that read as addresses or numbers."""
    found = [(np.int64(0), np.int64(0), np.int64(0), np.int64(0)) for _ in range(0)]
    for row in range(len(bounds) - 1):
        begin, stop = bounds[row], bounds[row + 1]
        place, phone_end = begin, begin
        while place < stop:
            kind = begins[data[place]]
            if kind == 0:
                place += 1
                continue
            if kind == _AT:
                if emails and place > begin and place + 4 < stop:
                    found.append((np.int64(row), np.int64(_AT), place - begin, place + 1 - begin))
                place += 1
                continue
            if addresses and kind == _DIGIT:
                end = _ipv4_end(data, place, stop)
                if end:
                    found.append((np.int64(row), np.int64(_IPV4), place - begin, end - begin))
                elif place + 5 < stop and (data[place] == 0x32 or data[place] == 0x33):
                    end = _ipv6_end(data, place, stop)
                    if end:
                        found.append((np.int64(row), np.int64(_IPV6), place - begin, end - begin))
            if phones:
                whole = _phone_end(data, place, stop, joins) if place >= phone_end else 0
                if whole:
                    found.append((np.int64(row), np.int64(_PHONE), place - begin, whole - begin))
                    phone_end = whole
                end = _north_american_end(data, place, stop)
                if end and end != whole:
                    found.append((np.int64(row), np.int64(_NORTH_AMERICAN), place - begin, end - begin))
            place += 1
            if kind == _DIGIT:
                while place < stop and begins[data[place]] == _DIGIT:
                    place += 1
    return found


@numba.njit(cache=True)
def _ipv4_end(data, place, stop):  # type: ignore[no-untyped-def]
    """Where four numbers below 256 end that points join, written without leading zeros; else 0."""
    for group in range(4):
        value, digits, zero = 0, 0, place < stop and data[place] == 0x30
        while place < stop and digits < 4 and 0x30 <= data[place] <= 0x39:
            value = 10 * value + data[place] - 0x30
            place += 1
            digits += 1
        if digits == 0 or value > 255 or (zero and digits > 1):
            return 0
        if group < 3:
            if place >= stop or data[place] != 0x2E:
                return 0
            place += 1
    return place


@numba.njit(cache=True)
def _ipv6_end(data, place, stop):  # type: ignore[no-untyped-def]
    """Where a run of hexadecimal digits and colons ends that begins with four digits and a colon; else 0."""
    start, colons = place, 0
    while place < stop and place < start + 46:
        byte = data[place]
        if byte == 0x3A:
            if place - start < 4:
                return 0
            colons += 1
        elif not (0x30 <= byte <= 0x39 or 0x41 <= byte <= 0x46 or 0x61 <= byte <= 0x66):
            break
        elif colons == 0 and place - start >= 4:
            return 0
        place += 1
    return place if colons >= 2 else 0


@numba.njit(cache=True)
def _phone_end(data, place, stop, joins):  # type: ignore[no-untyped-def]
    """Where a run of 8 to 15 digits ends, with at most two of ` .-()/` between two of them; else 0."""
    first, digits, last = place, 0, place
    while place < stop:
        byte = data[place]
        if 0x30 <= byte <= 0x39:
            digits += 1
            last = place + 1
        elif digits == 0:
            if place > first + 1 or not (byte == 0x28 or (byte == 0x2B and place == first)):
                break
        elif not joins[byte] or place - last >= 2 or (byte == 0x28 and digits > 4):
            break
        place += 1
        if digits > 15:
            return 0
    return last if digits >= 8 else 0


@numba.njit(cache=True)
def _north_american_end(data, place, stop):  # type: ignore[no-untyped-def]
    """Where three digits, maybe in brackets or behind a 1, three and four end that hyphens or points join; else 0."""
    if place + 2 < stop and data[place] == 0x31 and (data[place + 1] == 0x2D or data[place + 1] == 0x2E):
        place += 2
    bracket = data[place] == 0x28
    place = _digits_end(data, place + 1 if bracket else place, stop, 3)
    if place == 0 or place >= stop:
        return 0
    if bracket:
        if data[place] != 0x29:
            return 0
        place += 2 if place + 1 < stop and data[place + 1] == 0x20 else 1
    elif data[place] == 0x2D or data[place] == 0x2E:
        place += 1
    else:
        return 0
    place = _digits_end(data, place, stop, 3)
    if place == 0 or place >= stop or not (data[place] == 0x2D or data[place] == 0x2E):
        return 0
    return _digits_end(data, place + 1, stop, 4)


@numba.njit(cache=True)
def _digits_end(data, place, stop, count):  # type: ignore[no-untyped-def]
    """Where a row of just so many digits ends; else 0."""
    end = place
    while end < stop and end <= place + count and 0x30 <= data[end] <= 0x39:
        end += 1
    return end if end == place + count else 0
