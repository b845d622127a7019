"""One reading of an address, and one rule for which are public."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aiprod.addresses import Address, is_public, public_https
from tests.web import EVIL_URLS, GOOD_URLS


@pytest.mark.parametrize("url", GOOD_URLS)
def test_a_public_https_address_is_taken_as_it_is(url: str) -> None:
    assert public_https(url) == url


@pytest.mark.parametrize("url", EVIL_URLS)
def test_anything_that_could_lead_inside_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"must be an https|is not a public address|Invalid IPv6 URL"):
        public_https(url)


@pytest.mark.parametrize("ip", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"])
def test_a_public_ip_is_public_however_it_is_carried(ip: str) -> None:
    assert is_public(ip)


@pytest.mark.parametrize(
    "ip",
    [
        *("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1"),  # noqa: S104
        *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::127.0.0.1"),
        *("64:ff9b::a00:1", "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:3fff:fdd2"),
        *("127.1", "2130706433", "0x7f000001", "localhost", "example.com", ""),
    ],
)
def test_what_ends_inside_or_is_no_ip_address_is_not(ip: str) -> None:
    assert not is_public(ip)


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port", "target"),
    [
        ("https://Example.COM", "https", "example.com", 443, "/"),
        ("https://example.com./a?b=c%2F#d", "https", "example.com", 443, "/a?b=c%2F"),
        ("http://[::1]:8911/v1", "http", "::1", 8911, "/v1"),
        ("https://münchen.example/ä?ö", "https", "xn--mnchen-3ya.example", 443, "/%C3%A4?%C3%B6"),
        ("https://example.com?q", "https", "example.com", 443, "/?q"),
    ],
)
def test_an_address_is_taken_apart_once(url: str, scheme: str, host: str, port: int, target: str) -> None:
    assert Address.of(url) == Address(scheme, host, port, target)


def test_an_origin_is_scheme_host_and_port_however_they_are_spelled() -> None:
    assert Address.of("http://[::1]/x").origin == "http://[::1]:80"
    assert Address.of("https://API.example.com/x").of_origin(["https://api.example.com:443/v1"])
    for other in ("http://api.example.com", "https://api.example.com:8443", "https://api.example.com.evil.example"):
        assert not Address.of("https://api.example.com/x").of_origin([other])


@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_but_printable_ascii_is_ever_sent(path: str, query: str) -> None:
    try:
        address = Address.of(f"https://example.com/{path}?{query}")
    except ValueError:
        return
    assert address.host == "example.com"
    assert all("!" <= letter <= "~" for letter in address.target)
