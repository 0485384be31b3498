"""What is a telephone number, in the UTF-8 bytes of a run of digits.

Three forms, the ones that hardly anything else has: an international number, with + and a country code that is
assigned (ITU-T E.164) and 9 to 15 digits; a North American one as (212) 736-5000, 212-736-5000 or 212.736.5000,
maybe behind a 1; a French one as 01 42 68 53 00. Any other, of 8 to 13 digits with a 0 in front or separators
inside, only behind a word that says so, like `Tel.:` or `fax`. Numbers of dates, prices, tables, ISBNs and serials
so stay. Numbers kept for fiction (555-0100 to 555-0199) stay too.

A North American number with all its marks is one also between other numbers: `Suite 210 415-867-5309`.
"""

import re

MAX_BEFORE = 24

# Country codes that are assigned; a number begins with at most one of them.
_CODES = re.compile(
    rb"1|7|2[07]|3[0-469]|4[013-9]|5[1-8]|6[0-6]|8[1246]|9[0-58]|21[12368]|22|23|24|25[0-8]|26|29[01789]|35|37[0-8]"
    rb"|38[01235679]|42[013]|50|59|67[02-9]|68[0-35-9]|69[0-2]|80[08]|85[02356]|87[08]|88[01236]|96[0-8]|97[0-79]"
    rb"|99[2-68]"
)
_INTERNATIONAL = re.compile(rb"\+[1-9][0-9]{0,14}(?:[ ./-]{1,2}[0-9]{1,11}|[ ./-]?\([0-9]{1,5}\)[0-9]{0,11}){0,8}\Z")
_NORTH_AMERICAN = re.compile(
    rb"(?:1[ .-])?(?:\([2-9][0-8][0-9]\) ?[2-9](?!11)[0-9]{2}[-.]|[2-9][0-8][0-9]([-.])[2-9](?!11)[0-9]{2}\1)[0-9]{4}\Z"
)
_FRENCH = re.compile(rb"0[1-9](?:( )[0-9]{2}(?: [0-9]{2}){3}|(\.)[0-9]{2}(?:\.[0-9]{2}){3})\Z")
_GROUPED = re.compile(rb"\(?[0-9]{1,5}\)?(?:[ ./-]{1,2}\(?[0-9]{2,8}\)?){1,5}\Z")
_PLAIN = re.compile(rb"0[0-9]{8,11}\Z")
_LABEL = re.compile(
    rb"\b(?:tel|tele?phone|telefon|telefono|tel\xc3\xa9fono|telefone|t\xc3\xa9l|t\xc3\xa9l\xc3\xa9phone|phone|phones|ph"
    rb"|fax|telefax|mobile|mobil|m\xc3\xb3vil|cell|handy|hotline|whatsapp|call|dial)"
    rb"(?: ?(?:no|nr|number|us|at|on))?[\s.:#]*\(?\Z",
    re.IGNORECASE,
)
_QUAD = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){3}\Z")  # an IP address, public or not
_FICTION = re.compile(rb"55501[0-9]{2}\Z")
_NOT_DIGITS = re.compile(rb"[^0-9]+")
_JOINS_BEFORE = re.compile(rb"[A-Za-z0-9_.$#=\xa0-\xbf/-]\Z")
_NUMBER_BEFORE = re.compile(rb"[0-9] \Z")
_GOES_ON = re.compile(rb"[A-Za-z0-9_%/-]|[.,:][0-9]")
_JOINS_AFTER = re.compile(rb"[A-Za-z0-9_%/-]|[.,:][0-9]| [0-9]")
_COUNTRY_BEFORE = re.compile(rb"\+[0-9]{1,3} \Z")
_REPLACED = re.compile(rb"202-555-01[0-9]{2}(?![0-9])")


def number_span(text: bytes, start: int, end: int) -> tuple[int, int] | None:
    """(start, end) of the telephone number that the run at `start:end` is, if it is one and none of fiction."""
    run = text[start:end]
    if run.count(b"(") != run.count(b")"):
        if not run.startswith(b"(") or b")" in run:
            return None
        start, run = start + 1, run[1:]  # the number stands in brackets
    digits = _NOT_DIGITS.sub(b"", run)
    if _FICTION.search(digits) or _REPLACED.search(run) or _QUAD.match(run) or _JOINS_AFTER.match(text, end):
        return None
    labelled = _LABEL.search(text, max(0, start - MAX_BEFORE), start)
    if not labelled and _JOINS_BEFORE.search(text, max(0, start - 1), start):
        return None
    if run[:1].isdigit() and _NUMBER_BEFORE.search(text, max(0, start - 2), start):
        return None  # the next column of a table
    if run.startswith(b"+"):
        told = len(digits) >= 9 and _CODES.match(digits) and _INTERNATIONAL.match(run)
    else:
        told = _NORTH_AMERICAN.match(run) or _FRENCH.match(run)
        if labelled and len(digits) <= 13:
            told = told or _GROUPED.match(run) or _PLAIN.match(run)
    return (start, end) if told else None


def is_north_american(text: bytes, start: int, end: int) -> bool:
    """Whether `start:end`, three digits, three and four with their marks, is a number, whatever numbers are beside."""
    number = text[start:end]
    if not _NORTH_AMERICAN.match(number) or _FICTION.search(_NOT_DIGITS.sub(b"", number)):
        return False
    before = _JOINS_BEFORE.search(text, max(0, start - 1), start) or _COUNTRY_BEFORE.search(
        text, max(0, start - 5), start
    )
    return not before and not _GOES_ON.match(text, end)
