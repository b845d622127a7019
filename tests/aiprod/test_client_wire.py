"""The wire asks again only what may be asked again, tells its secret to nobody else, and says what a refusal means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aiprod.client_wire import PAUSES, Credentials, Wire, path
from aiprod.errors import (
    AiprodError,
    ApiRefused,
    ApiUnreachable,
    ConfigError,
    JobConflict,
    JobMoved,
    JobUnknown,
    SamePerson,
    SpecError,
)
from tests.api import TOKEN, Reply, Server, problem, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as desk:
        yield desk


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def wire(server: Server, slept: list[float]) -> Iterator[Wire]:
    made = Wire(server.url, Credentials(TOKEN), sleep=slept.append)
    yield made
    made.close()


class TestAgain:
    @pytest.mark.parametrize("trouble", [Reply(503), Reply(502), Reply(429), Reply(silent=True)])
    def test_what_may_be_asked_again_is_after_a_pause(
        self, server: Server, wire: Wire, slept: list[float], trouble: Reply
    ) -> None:
        server.says("GET", "/aiprod/x", trouble, trouble, {"a": 1})
        assert wire.ask("GET", "/x", again=True).data == {"a": 1}
        assert slept == [0.5, 1.0]

    def test_it_is_given_up_after_four_tries(self, server: Server, wire: Wire, slept: list[float]) -> None:
        server.says("GET", "/aiprod/x", problem(503, "busy"))
        with pytest.raises(ApiRefused, match="busy"):
            wire.ask("GET", "/x", again=True)
        assert len(server.to("GET", "/aiprod/x")) == 4 and slept == list(PAUSES)

    def test_the_server_says_how_long_and_is_not_believed_for_ever(self, server: Server, wire: Wire, slept: list[float]) -> None:
        server.says("GET", "/aiprod/x", Reply(429, headers={"Retry-After": "7"}), Reply(429, headers={"Retry-After": "9999"}), {})
        wire.ask("GET", "/x", again=True)
        assert slept == [7.0, 30.0]

    @pytest.mark.parametrize("trouble", [problem(503, "busy"), Reply(silent=True)])
    def test_anything_else_is_sent_once(self, server: Server, wire: Wire, slept: list[float], trouble: Reply) -> None:
        server.says("POST", "/aiprod/x", trouble, {})
        with pytest.raises(AiprodError):
            wire.ask("POST", "/x", body={})
        assert len(server.to("POST", "/aiprod/x")) == 1 and slept == []

    def test_of_a_lost_answer_it_says_that_it_may_have_been_done(self, server: Server, wire: Wire) -> None:
        server.says("POST", "/aiprod/x", Reply(silent=True))
        with pytest.raises(ApiUnreachable, match="may have been done") as lost:
            wire.ask("POST", "/x", body={})
        assert lost.value.sent

    def test_where_nobody_listens_nothing_was_sent(self, slept: list[float]) -> None:
        with serving() as gone:
            url = gone.url
        with pytest.raises(ApiUnreachable, match="no server answers at") as lost:
            Wire(url, Credentials(TOKEN), sleep=slept.append).ask("POST", "/x", body={})
        assert not lost.value.sent


class TestMeaning:
    @pytest.mark.parametrize(
        ("reply", "error", "says"),
        [
            (problem(404, "job x is not in the ledger", kind="urn:aiprod:job-unknown"), JobUnknown, "not in the ledger"),
            (problem(409, "it is at version 2", kind="urn:aiprod:job-moved"), JobMoved, "version 2"),
            (problem(409, "not by ann", kind="urn:aiprod:same-person"), SamePerson, "not by ann"),
            (problem(409, "another order", kind="urn:aiprod:job-conflict"), JobConflict, "another order"),
            (problem(403, "Forbidden"), ApiRefused, "Forbidden"),
            (problem(401, "Token Expired"), ApiRefused, "get a new AIPROD_API_TOKEN"),
            (problem(403, "Invalid JWT token"), ApiRefused, "get a new AIPROD_API_TOKEN"),
            (Reply(404, {"detail": "Not Found"}), ApiUnreachable, "is the plugin installed"),
            (Reply(200, b"<html>", {"Content-Type": "text/html"}), ApiUnreachable, "is no AIPROD"),
            (Reply(500, b"<html>", {"Content-Type": "text/html"}), ApiRefused, "without a word why"),
        ],
    )
    def test_a_refusal_is_raised_as_what_it_means(
        self, server: Server, wire: Wire, reply: Reply, error: type[AiprodError], says: str
    ) -> None:
        server.says("POST", "/aiprod/x", reply)
        with pytest.raises(error, match=says) as refused:
            wire.ask("POST", "/x", body={})
        assert type(refused.value) is error

    def test_wrong_fields_are_lines_as_the_library_words_them(self, server: Server, wire: Wire) -> None:
        wrong = [{"field": "shots.0.seconds", "message": "must be at least 1"}, {"field": "", "message": "give a prompt"}]
        server.says("POST", "/aiprod/x", problem(422, "no", kind="urn:aiprod:malformed", errors=wrong))
        with pytest.raises(SpecError) as refused:
            wire.ask("POST", "/x", body={})
        assert refused.value.problems == ("shots.0.seconds: must be at least 1", "give a prompt")

    @pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://a/b", "http://ann:hunter2@host/"])
    def test_what_is_no_address_is_said_without_being_asked(self, url: str) -> None:
        with pytest.raises(ConfigError, match="no address of an AIPROD"):
            Wire(url, Credentials())


class TestWhoAsks:
    def test_a_redirect_is_not_followed_so_that_no_other_host_gets_the_token(self, server: Server, wire: Wire) -> None:
        with serving() as other:
            server.says("GET", "/aiprod/x", Reply(307, headers={"Location": f"{other.url}/aiprod/x"}))
            with pytest.raises(ApiRefused, match="ask there instead"):
                wire.ask("GET", "/x")
            assert other.asked == []

    def test_a_netrc_does_not_replace_the_token(
        self, server: Server, wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / ".netrc").write_text("machine 127.0.0.1 login eve password wrong\n")
        monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
        server.says("GET", "/aiprod/x", {"a": 1})
        assert wire.ask("GET", "/x").data == {"a": 1}

    def test_a_user_is_logged_in_once_and_again_when_the_token_runs_out(self, server: Server) -> None:
        server.says("POST", "/auth/token", Reply(201, {"access_token": TOKEN}), Reply(201, {"access_token": "second"}))
        server.says("GET", "/aiprod/x", {"a": 1})
        wire = Wire(server.url, Credentials(user="ann", password="pw"))
        wire.ask("GET", "/x")
        server.token = "second"
        assert wire.ask("GET", "/x").data == {"a": 1}
        assert [one.body for one in server.to("POST", "/auth/token")] == [{"username": "ann", "password": "pw"}] * 2
        wire.close()

    def test_where_all_are_administrators_nobody_has_to_say_who(self, server: Server) -> None:
        server.says("GET", "/auth/token", Reply(201, {"access_token": TOKEN}))
        server.says("GET", "/aiprod/x", {"a": 1})
        wire = Wire(server.url, Credentials())
        assert wire.ask("GET", "/x").data == {"a": 1}
        wire.close()

    @pytest.mark.parametrize(("user", "says"), [("", "wants to know who asks"), ("ann", "does not let 'ann' in")])
    def test_whoever_is_not_let_in_is_told_what_to_set(self, server: Server, user: str, says: str) -> None:
        for method in ("GET", "POST"):
            server.says(method, "/auth/token", Reply(401, {"detail": "Invalid credentials"}))
        wire = Wire(server.url, Credentials(user=user, password="hunter2"))
        with pytest.raises(ApiRefused, match=f"{says}.*AIPROD_API_TOKEN") as refused:
            wire.ask("GET", "/x")
        assert "hunter2" not in str(refused.value)
        wire.close()

    def test_secrets_are_never_shown(self, wire: Wire) -> None:
        assert TOKEN not in repr(Credentials(TOKEN, "ann", "hunter2")) + repr(wire)
        assert "hunter2" not in repr(Credentials(TOKEN, "ann", "hunter2"))


def test_a_part_of_a_path_stays_a_part() -> None:
    assert path("job", "../../api/v2?x#y") == "/job/..%2F..%2Fapi%2Fv2%3Fx%23y"


def test_a_proxy_is_not_asked_for_this_machine(server: Server, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.says("GET", "/aiprod/x", {"a": 1})
    assert wire.ask("GET", "/x").data == {"a": 1}


def test_the_mount_may_be_said_or_not(server: Server) -> None:
    server.says("GET", "/aiprod/x", {"a": 1})
    for url in (server.url, f"{server.url}/", f"{server.url}/aiprod", f"{server.url}/aiprod/"):
        wire = Wire(url, Credentials(TOKEN))
        assert wire.ask("GET", "/x").data == {"a": 1}
        wire.close()
