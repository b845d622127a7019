"""An address that somebody else chose never leads inside, never takes our credentials along, and never lasts for ever."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from aiprod.backends.reaching import INTERNET, Limits, Network, Trouble, body
from aiprod.errors import FailureKind
from tests.web import EVIL_URLS, World, answer, endless

CDN = "https://cdn.example/take.mp4?signature=SECRET-CANARY"
TOKEN = {"Authorization": "Bearer SECRET-CANARY"}
LIMITS = Limits(bytes=1_000, seconds=100, grace=10, least_speed=50)
#: Seen from another address, these mean its host.
NO_HOST = ("https:///a", "https://")
#: Evil addresses that can stand in a header.
SENT_AS_THEY_ARE = [url for url in EVIL_URLS if url.isascii() and url.isprintable() and " " not in url and url not in NO_HOST]
PRIVATE = ["127.0.0.1", "10.0.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1", "fe80::1", "::ffff:127.0.0.1"]  # noqa: S104


def got(world: World, url: str = CDN, **changes: Any) -> bytes:
    given: dict[str, Any] = {"own": (), "headers": {}, "limits": LIMITS, "network": world.network} | changes
    return b"".join(body(url, **given))


def trouble(world: World, url: str = CDN, **changes: Any) -> Trouble:
    with pytest.raises(Trouble) as raised:
        got(world, url, **changes)
    assert "SECRET-CANARY" not in str(raised.value)
    return raised.value


class TestWhoIsAsked:
    @pytest.mark.parametrize("url", EVIL_URLS)
    def test_an_evil_address_is_not_even_looked_up(self, url: str) -> None:
        world = World.of(answer(200, b"inside"))
        assert trouble(world, url).kind is FailureKind.INVALID_INPUT
        assert (world.asked, world.reached) == ([], [])

    @pytest.mark.parametrize("ip", PRIVATE)
    def test_a_public_name_that_leads_inside_is_not_connected_to(self, ip: str) -> None:
        world = World({(ip, 443): [answer(200, b"inside")]}, {"cdn.example": [["93.184.216.34", ip]]})
        assert trouble(world).kind is FailureKind.INVALID_INPUT
        assert world.reached == []

    def test_a_name_that_changes_its_mind_is_connected_to_where_it_was_checked(self) -> None:
        hosts: Any = {("93.184.216.34", 443): [answer(200, b"film")], ("127.0.0.1", 443): [answer(200, b"inside")]}
        world = World(hosts, {"cdn.example": [["93.184.216.34"], ["127.0.0.1"]]})
        assert got(world) == b"film"
        assert (world.reached, world.asked) == ([("93.184.216.34", 443)], ["cdn.example"])

    def test_the_certificate_asked_for_is_that_of_the_name_and_not_of_the_number(self) -> None:
        world = World.of(answer(200, b"film"))
        got(world)
        assert world.wires[0].certified == "cdn.example"
        assert b"\r\nHost: cdn.example\r\n" in world.wires[0].sent

    def test_a_dead_address_of_a_name_is_passed_over(self) -> None:
        world = World({("9.9.9.9", 443): [answer(200, b"film")]}, {"cdn.example": [["8.8.8.8", "9.9.9.9"]]})
        assert got(world) == b"film"
        assert trouble(world).kind is FailureKind.TRANSIENT

    @pytest.mark.parametrize("problem", [OSError("no such name"), UnicodeError("label too long")])
    def test_a_name_nobody_knows_is_trouble_that_may_pass(self, problem: Exception) -> None:
        def nobody(host: str, port: int) -> list[str]:
            raise problem

        assert trouble(World.of(), network=Network(resolve=nobody, wires=World.of())).kind is FailureKind.TRANSIENT

    def test_proxies_of_the_environment_are_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, "http://127.0.0.1:3128")
        world = World.of(answer(200, b"film"))
        got(world)
        assert world.reached == [("93.184.216.34", 443)]


class TestOwnOrigins:
    OWN = ("http://127.0.0.1:8911",)

    def inside(self, *answers: list[bytes]) -> World:
        hosts: Any = {("127.0.0.1", 8911): list(answers), ("127.0.0.1", 80): [answer(200, b"inside")]}
        return World(hosts, {})

    def test_what_the_operator_configured_may_be_local_and_plain(self) -> None:
        world = self.inside(answer(200, b"film"))
        assert got(world, "http://127.0.0.1:8911/x", own=self.OWN) == b"film"
        assert b"\r\nHost: 127.0.0.1:8911\r\n" in world.wires[0].sent

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1/x", "http://127.0.0.1:8912/x", "https://127.0.0.1:8911/x", "http://localhost:8911/x"]
    )
    def test_it_opens_no_other_port_scheme_or_name(self, url: str) -> None:
        world = self.inside(answer(200, b"inside"))
        assert trouble(world, url, own=self.OWN).kind is FailureKind.INVALID_INPUT
        assert world.reached == []

    def test_a_redirect_from_outside_does_not_lead_in(self) -> None:
        world = self.inside(answer(200, b"inside"))
        world.hosts["93.184.216.34", 443] = [answer(302, location="http://127.0.0.1:8911/secret")]
        world.names["cdn.example"] = [["93.184.216.34"]]
        assert trouble(world, own=self.OWN).kind is FailureKind.INVALID_INPUT
        assert world.reached == [("93.184.216.34", 443)]

    def test_a_redirect_within_is_followed(self) -> None:
        world = self.inside(answer(307, location="/y"), answer(200, b"film"))
        assert got(world, "http://127.0.0.1:8911/x", own=self.OWN, headers=TOKEN) == b"film"
        assert [b"SECRET-CANARY" in wire.sent for wire in world.wires] == [True, True]


class TestRedirects:
    @pytest.mark.parametrize("url", [*SENT_AS_THEY_ARE, "data:video/mp4,AAAA", "http://cdn.example/plain", "//127.0.0.1/x"])
    def test_none_leads_inside(self, url: str) -> None:
        world = World.of(answer(302, location=url))
        assert trouble(world).kind is FailureKind.INVALID_INPUT
        assert world.reached == [("93.184.216.34", 443)]

    @pytest.mark.parametrize(("hops", "fine"), [(3, True), (4, False)])
    def test_three_are_followed_and_no_more(self, hops: int, fine: bool) -> None:
        world = World.of(*[answer(301, location=f"/{n}") for n in range(hops)], answer(200, b"film"))
        if fine:
            assert got(world) == b"film"
        else:
            assert trouble(world).kind is FailureKind.VENDOR_INTERNAL
        assert len(world.wires) == 4

    def test_credentials_stay_with_the_first_host_and_do_not_come_back(self) -> None:
        world = World.of(
            answer(302, location="/here", set_cookie="session=SECRET-CANARY"),
            answer(302, location="https://cdn.example:8443/there"),
            answer(200, b"film"),
        )
        world.hosts["93.184.216.34", 8443] = [answer(302, location=CDN)]
        assert got(world, headers=TOKEN) == b"film"
        assert [b"Bearer SECRET-CANARY" in wire.sent for wire in world.wires] == [True, True, False, False]
        assert [b"cookie" in wire.sent.lower() for wire in world.wires] == [False] * 4

    def test_one_that_says_not_where_to_is_no_endless_loop(self) -> None:
        assert trouble(World.of(*[answer(302)] * 9)).kind is FailureKind.VENDOR_INTERNAL


class TestWhatIsTaken:
    def test_an_endless_body_ends_at_the_limit(self) -> None:
        world = World.of(endless(b"x" * 100))
        assert trouble(world).kind is FailureKind.VENDOR_INTERNAL
        assert next(world.wires[0].pieces, None) is None

    def test_the_announced_length_does_not_count(self) -> None:
        assert len(got(World.of(answer(200, b"x" * 1_000)))) == 1_000
        assert trouble(World.of(answer(200, b"x" * 1_001))).kind is FailureKind.VENDOR_INTERNAL

    def test_a_body_shorter_than_announced_is_not_whole(self) -> None:
        assert trouble(World.of(answer(200, b"film", content_length="5"))).kind is FailureKind.TRANSIENT

    def test_a_body_longer_than_announced_ends_where_it_was_announced_to(self) -> None:
        assert got(World.of(answer(200, b"films", content_length="4"))) == b"film"

    def test_nothing_is_ever_unpacked(self) -> None:
        bomb = gzip.compress(b"\0" * 100_000)
        assert got(World.of(answer(200, bomb))) == bomb
        assert trouble(World.of(answer(200, bomb, content_encoding="gzip"))).kind is FailureKind.VENDOR_INTERNAL
        world = World.of(answer(200, b"film"))
        got(world)
        assert b"\r\nAccept-Encoding: identity\r\n" in world.wires[0].sent

    def test_a_byte_a_second_is_too_slow(self) -> None:
        world = World.of(endless(b"x"))
        world.seconds_per_read = 1
        assert trouble(world).kind is FailureKind.TRANSIENT
        assert world.time < 15

    def test_a_slow_start_is_forgiven(self) -> None:
        world = World.of(answer(200, b"x" * 600))
        world.seconds_per_read = 9
        assert len(got(world)) == 600

    def test_headers_that_trickle_in_end_with_the_time_for_all(self) -> None:
        world = World.of(b"X" for _ in range(100_000))
        world.seconds_per_read = 20
        assert trouble(world).kind is FailureKind.TRANSIENT
        assert world.time < 150

    def test_a_host_that_only_ever_says_continue_does_too(self) -> None:
        world = World.of(b"HTTP/1.1 100 Continue\r\n\r\n" for _ in range(100_000))
        world.seconds_per_read = 20
        assert trouble(world).kind is FailureKind.TRANSIENT

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            *((status, FailureKind.GONE) for status in (403, 404, 410)),
            *((status, FailureKind.TRANSIENT) for status in (408, 429, 500, 502, 503, 504)),
            *((status, FailureKind.VENDOR_INTERNAL) for status in (201, 204, 206, 304, 400, 418)),
            (401, FailureKind.AUTH),
        ],
    )
    def test_only_200_is_a_file(self, status: int, kind: FailureKind) -> None:
        assert trouble(World.of(answer(status, b"" if status in (204, 304) else b"what"))).kind is kind

    @pytest.mark.parametrize("said", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200\r\nno colon\r\n\r\n", b"\0" * 200_000])
    def test_what_is_not_http_is_trouble_that_may_pass(self, said: bytes) -> None:
        assert trouble(World.of([said])).kind is FailureKind.TRANSIENT

    def test_a_credential_that_cannot_be_sent_is_not_quoted(self) -> None:
        problem = trouble(World.of(answer(200)), headers={"Authorization": "Bearer SECRET-CANARY\n"})
        assert problem.kind is FailureKind.TRANSIENT


# --- on real sockets ------------------------------------------------------------------------------------


class Site(ThreadingHTTPServer):
    """A site on loopback that counts who came, and sends everybody on to `onward`, or says hello."""

    onward = ""
    hits = 0


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site: Any = self.server
        site.hits += 1
        self.send_response(302 if site.onward else 200)
        self.send_header("Location", site.onward)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, format: str, *args: Any) -> None:
        """Nobody reads it."""


@contextmanager
def site(tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    server = Site(("127.0.0.1", 0), _Page)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fetched(url: str, own: str, network: Network = INTERNET) -> bytes:
    return b"".join(body(url, own=(own,), headers=TOKEN, limits=LIMITS, network=network))


def test_a_canary_on_the_same_machine_is_never_asked() -> None:
    with site() as ours, site() as canary:
        here, there = (f"http://127.0.0.1:{server.server_address[1]}" for server in (ours, canary))
        assert fetched(f"{here}/take", here) == b"hello"
        port = canary.server_address[1]
        for onward in (there, f"http://localhost:{port}", f"http://[::ffff:127.0.0.1]:{port}", f"https://2130706433:{port}/"):
            ours.onward = onward
            with pytest.raises(Trouble):
                fetched(f"{here}/take", here)
        assert (ours.hits, canary.hits) == (5, 0)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for cdn.example that no authority knows, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cdn.example")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("cdn.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    file = tmp_path_factory.mktemp("tls") / "both.pem"
    plain = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file.write_bytes(plain + made.public_bytes(pem))
    return file


def test_only_a_certificate_of_that_name_that_somebody_vouches_for_is_talked_to(certificate: Path) -> None:
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(certificate)
    here = Network(resolve=lambda host, port: ["127.0.0.1"])
    vouched = Network(resolve=here.resolve, trust=lambda: ssl.create_default_context(cafile=str(certificate)))
    with site(served) as ours:
        port = ours.server_address[1]
        right, wrong = f"https://cdn.example:{port}", f"https://other.example:{port}"
        assert fetched(right, right, vouched) == b"hello"
        for url, network in ((right, here), (wrong, vouched)):
            with pytest.raises(Trouble, match="CERTIFICATE_VERIFY_FAILED"):
                fetched(url, url, network)
        assert ours.hits == 1
