"""Which web addresses may be asked for at all: the one place that knows what is public."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Self
from urllib.parse import quote, urlsplit

__all__ = ["Address", "is_public", "public_https"]

_IP = ipaddress.IPv4Address | ipaddress.IPv6Address
_PORTS = {"https": 443, "http": 80}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Address:
    """A web address taken apart once, so that whoever checks it and whoever asks for it read the same thing.

    `host` is lower-case ASCII without brackets, `target` is path and query as they are sent.
    """

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def of(cls, url: str) -> Self:
        """Take an http(s) address apart. Raises `ValueError` for what two parsers could read differently."""
        # Tabs and line breaks vanish in some parsers, a backslash is a slash in others.
        parts = urlsplit(url) if re.fullmatch(r"[^\s\\\x00-\x1f\x7f]+", url) else None
        if parts is None or parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
            raise ValueError("must be an https:// address without a user name or password")
        try:
            # Wide digits and dots become plain ones here, as they do in a resolver.
            host = parts.hostname.encode("idna").decode().rstrip(".").lower()
            port = parts.port
        except ValueError:
            raise ValueError("must be an https:// address of a valid host") from None
        path = quote(parts.path or "/", safe="/%:;=@!$&'()*+,~[]")
        query = "?" + quote(parts.query, safe="/%:;=@!$&'()*+,~?[]") if parts.query else ""
        return cls(parts.scheme, host, _PORTS[parts.scheme] if port is None else port, path + query)

    @property
    def origin(self) -> str:
        """`scheme://host:port`, the port always said."""
        return f"{self.scheme}://{self.bracketed}:{self.port}"

    @property
    def bracketed(self) -> str:
        """The host as an address spells it: IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def of_origin(self, origins: Collection[str]) -> bool:
        """Whether this address is on one of the origins (any spelling of `scheme://host:port`)."""
        return any(Address.of(origin).origin == self.origin for origin in origins)


def public_https(url: str) -> str:
    """Return the address as it is, or raise `ValueError` when a vendor (or we) must never be sent there.

    Names are resolved again before any fetch.
    """
    address = Address.of(url)
    host = address.host
    if address.scheme != "https":
        raise ValueError("must be an https:// address without a user name or password")
    if host.endswith((".localhost", ".localdomain", ".local", ".internal")) or ("." not in host and ":" not in host):
        raise ValueError(f"{host} is not a public address")
    # 2130706433, 0x7f.1 and 127.1 are spellings of 127.0.0.1 that a resolver accepts.
    numeric = ":" in host or re.fullmatch(r"(0x[0-9a-f]*|[0-9]+)(\.(0x[0-9a-f]*|[0-9]+))*", host)
    if numeric and not is_public(host):
        raise ValueError(f"{host} is not a public address")
    return url


def is_public(ip: str) -> bool:
    """Whether packets to an IP address end on the public internet; what is no IP address is not public."""
    try:
        reached = _reached(ipaddress.ip_address(ip))
    except ValueError:
        return False
    return all(a.is_global and not a.is_multicast and not a.is_reserved for a in reached)


def _reached(address: _IP) -> tuple[_IP, ...]:
    """The addresses a packet may end at: IPv6 has its ways to carry an IPv4 address inside."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address, address.sixtofour)
    if address in _NAT64 or int(address) >> 32 == 0:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    # Site-local addresses were given up in 2004, and Python takes them for global.
    return (ipaddress.IPv6Address("::1"),) if address.is_site_local else (address,)
