"""Personal data: what is replaced, what looks like it and stays, and that a value alone says what stands for it."""

import ipaddress
import re

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as checks
from hypothesis import strategies as st

from pipelines.edits.chain import edits as chain
from pipelines.edits.spans import texts_after
from pipelines.settings import Edits

ALL = Edits(c4_lines=False, emails=True, ip_addresses=True, phone_numbers=True)
EMAIL = r"email\d{1,3}@example\.(?:com|net|org)"
IPV4 = r"(?:192\.0\.2|198\.51\.100|203\.0\.113)\.\d{1,3}"
IPV6 = r"2001:db8::[0-9a-f]{1,4}"
PHONE = r"(?:\+1-)?202-555-01\d\d"


def after(*texts: str, settings: Edits = ALL) -> list[str]:
    return texts_after(texts, chain(list(texts), settings)[0])


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("Write to foo@bar.com now", f"Write to {EMAIL} now"),
        ("<mailto:joe.o'brien+x@mail.bar.co.uk>", f"<mailto:{EMAIL}>"),
        ("'foo@bar.com', (a_b@c-d.org).", f"'{EMAIL}', \\({EMAIL}\\)\\."),
        ("j\u00f6rg@m\u00fcller.de.", f"{EMAIL}\\."),
        ("\u90ae\u7bb1foo@163.com\u662f", f"\u90ae\u7bb1{EMAIL}\u662f"),
        ("as foo@bar.com.3 says", f"as {EMAIL}\\.3 says"),
        ("foo..bar@baz.org", f"foo\\.\\.{EMAIL}"),
        ("ip 81.2.69.142, or", f"ip {IPV4}, or"),
        ("http://81.2.69.142:80/x?y=81.2.69.142", f"http://{IPV4}:80/x\\?y={IPV4}"),
        ("\u5740\uff1a81.2.69.142\u3002", f"\u5740\uff1a{IPV4}\u3002"),
        ("from 2a00:1450:4001:81b::200e: ok", f"from {IPV6}: ok"),
        ("[2600:1406::17]:80", f"\\[{IPV6}\\]:80"),
        ("call +33 1 42 68 53 00 or +1 (212) 736-5000", f"call {PHONE} or {PHONE}"),
        ("(212) 736-5000, 212-736-5000 or 212.736.5000.", f"{PHONE}, {PHONE} or {PHONE}\\."),
        ("01 42 68 53 00", PHONE),
        ("Tel.: 030 901820, fax +442079460018", f"Tel\\.: {PHONE}, fax {PHONE}"),
        ("(tel. 089/1234567)", f"\\(tel\\. {PHONE}\\)"),
        ("Room 8888 (415) 867-5309", f"Room 8888 {PHONE}"),
        ("Suite 210 415-867-5309", f"Suite 210 {PHONE}"),
        ("94105 415.867.5309, 94105 1-415-867-5309", f"94105 {PHONE}, 94105 {PHONE}"),
        ("(415) 867-5309 9-5", f"{PHONE} 9-5"),
        ("fax (415) 867-5309 9-5", f"fax {PHONE} 9-5"),  # and not again what stands for it
        ("415-867-5309 212-736-5000", f"{PHONE} {PHONE}"),
    ],
)
def test_what_is_replaced(text: str, pattern: str) -> None:
    (found,) = after(text)
    assert re.fullmatch(pattern, found), found


@pytest.mark.parametrize(
    "text",
    [
        "icon@2x.png lodash@4.17.21 getty@tty1.service user@host @name a@b. x@.com @.@",
        "git@github.com:a/b.git https://joe@host.com/x",
        "a@example.com b@mail.example.org c@host.test d@host.local",
        "v81.2.69.142 version 81.2.69.142 Section\u00a036.4.4.12",
        "pkg-81.2.69.142.tar Chrome/81.2.69.142 /opt/81.2.69.142/",
        "12.1.1.14. A heading",
        "1.3.6.1.4.1.311 81.2.69.142.5 081.2.69.142 281.2.69.142 81.2.69.142-3 8.8.8.0/24",
        "10.1.2.3 127.0.0.1 192.168.1.77 192.0.2.7 224.0.0.251 255.255.255.0 100.64.9.9",
        "1.1.1.1 2.4.1.3",
        "2001:db8::1 fe80::1 ::1 2024:05:06 2000::/3 std::vector a::b 12:34:56",
        "2023-01-02 12345678 978-3-16-148410-0 1,234,567.89 99 123 456 789 012 (1999-2004)",
        "-2147483648 to +2147483647, DFAR 252.227-7015, $212.736.5000, 212-736-50001, 1212-736-5000",
        "+1-202-555-0143 (202) 555-0199 Tel. 555-0100",
        "12 212.736-5000 99, 8888 (202) 555-0199, 3 978-212-736-5000 4, 7 212-736-5000-1 7, 7 212-736-5000.25 7",
        "(212)7365000 (21) 273-5000 9 1212.736.5000 212.736.50001 +999 212-736-5000",
        "ISSN 0378-5955, 555 123 4567, 100 200 300, tel 192.168.10.20",
    ],
)
def test_what_looks_like_it_stays(text: str) -> None:
    assert after(text) == [text]


def test_reserved_values_are_reserved() -> None:
    numbers = [f"81.2.{a}.{b}" for a in range(40) for b in (7, 99)]
    networks = [ipaddress.ip_network(f"{start}.0/24") for start in ("192.0.2", "198.51.100", "203.0.113")]
    found = {ipaddress.ip_address(text) for text in after(*numbers)}
    assert len(found) > 60
    assert all(any(address in network for network in networks) for address in found)


def test_the_value_alone_decides() -> None:
    texts = ["Joe@Bar.com and 81.2.69.142", "joe@bar.com", "again joe@bar.com, +33 1 42 68 53 00 or +33142685300"]
    found = after(*texts)
    assert after(*texts[::-1]) == found[::-1]
    assert [after(text)[0] for text in texts] == found
    assert found[0].startswith(found[1])  # upper and lower case are one address
    assert re.search(r"\S+ or (\S+)$", found[2])[0].split(" or ")[0] == found[2].split(" or ")[1]


def test_each_is_switched_alone_and_counted() -> None:
    text = "joe@bar.com 81.2.69.142 (212) 736-5000"
    edits, counts = chain([text], ALL)
    assert counts == {"email": 1, "ip_address": 1, "phone_number": 1}
    none = Edits(c4_lines=False, emails=False, ip_addresses=False)
    assert chain([text], none)[1] == {}
    for name, key in (("emails", "email"), ("ip_addresses", "ip_address"), ("phone_numbers", "phone_number")):
        assert chain([text], none.model_copy(update={name: True}))[1] == {key: 1}
    assert pa.types.is_list(edits.type)


PIECES = ["@", ".", "-", "+", "joe", "bar.com", "81.2.69.142", "2a00::1", ":", "(", ")", " ", "\n", "0", "212", "736"]
PIECES += ["5000", "tel ", "\u00e9", "\u4e2d", "/", "'", "2001:db8::1", "+33", "v", "_"]


@checks(deadline=None, max_examples=300)
@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(max_size=12), max_size=4))
def test_a_second_pass_changes_nothing_and_nothing_breaks(texts: list[str]) -> None:
    once = after(*texts)
    assert [text.count("\n") for text in once] == [text.count("\n") for text in texts]
    assert after(*once) == once


@pytest.mark.parametrize(
    "piece", ["@", "a@", "a.", "1.", "1", "+1 ", "2000:", "2000::", "(1", "((", "1-", ".@", "a@a.", "1-2", "(212)"]
)
def test_hostile_text_costs_time_that_is_linear(piece: str) -> None:
    text = piece * 40_000
    assert after(text) == [text]
