"""Another project's job does not exist, a strange name is no job, and no other site's page acts in a user's name."""

from __future__ import annotations

import pytest
from starlette.testclient import WebSocketDenialResponse

from tests.aiprod_airflow.api.people import API, ORDER

ESTIMATE = "/aiprod/cost-estimate"


class TestProjects:
    """`acme` is alice's and bob's alone; everything else is everybody's."""

    def test_its_jobs_are_there_for_members_and_for_nobody_else(self, api: API) -> None:
        api.recorded()
        job_id, other = api.order(project="acme"), api.order()
        paths = ["", "/manifest", "/costs", "/video", "/poster", "/contact-sheet", "/take/x", "/events"]

        assert api.client("bob").get(f"/aiprod/job/{job_id}").status_code == 200
        assert {api.client("eve", "admin").get(f"/aiprod/job/{job_id}{path}").status_code for path in paths} == {404}
        seen = api.client("eve", "admin").get("/aiprod/jobs").json()["jobs"]
        assert [row["job_id"] for row in seen] == [other]
        assert api.client("eve").get("/aiprod/jobs?project=acme").json()["jobs"] == []

    @pytest.mark.parametrize(
        ("action", "body"),
        [
            ("approve", {"version": 1, "amount": 1}),
            ("reject", {"version": 1}),
            ("cancel", None),
            ("redo", {"base_version": 1, "shots": [1]}),
            ("manifest", {"base_version": 1, "shots": [{"prompt": "x"}]}),
        ],
    )
    def test_nothing_is_done_to_them_by_others(self, api: API, action: str, body: object) -> None:
        api.recorded()
        job_id = api.asked(project="acme")
        said = api.client("eve", "admin").post(f"/aiprod/job/{job_id}/{action}", json=body)

        assert (said.status_code, said.json()["type"]) == (404, "urn:aiprod:job-unknown")
        assert (api.look(job_id)["status"], api.look(job_id)["version"]) == ("waiting_approval", 1)

    def test_a_job_that_is_hidden_and_one_that_never_was_look_alike(self, api: API) -> None:
        api.recorded()
        job_id = api.order(project="acme")
        hidden, nothing = (api.client("eve").get(f"/aiprod/job/{name}").json() for name in (job_id, "no-such-job"))

        assert hidden["detail"].replace(job_id, "X") == nothing["detail"].replace("no-such-job", "X")

    def test_others_neither_order_nor_price_for_it(self, api: API) -> None:
        order = {**ORDER, "project": "acme"}

        assert [
            api.client("eve").post(f"/aiprod/{path}", json=order).status_code for path in ("job/create", "cost-estimate")
        ] == [
            403,
            403,
        ]

    def test_watching_it_is_refused_in_the_handshake(self, api: API) -> None:
        api.recorded()
        job_id = api.order(project="acme")
        with (
            pytest.raises(WebSocketDenialResponse) as denied,
            api.client("eve").websocket_connect(f"/aiprod/ws/job/{job_id}"),
        ):
            pass

        assert denied.value.status_code == 404


@pytest.mark.parametrize(
    "name",
    ["%2e%2e", "..%2f..%2fetc%2fpasswd", "a%00b", "a'--", "A", "%F0%9F%8E%AC", "x" * 5_000, "%0d%0aSet-Cookie:x=1", "~", "*"],
)
@pytest.mark.parametrize("path", ["", "/video", "/events", "/manifest"])
def test_a_strange_name_is_no_job(api: API, name: str, path: str) -> None:
    said = api.client().get(f"/aiprod/job/{name}{path}")

    assert said.status_code in (404, 422)
    assert len(said.text) < 2_000
    assert "set-cookie" not in said.headers


class TestOrigins:
    """A cookie goes along with whatever a page makes a browser send; a token does not."""

    def post(self, api: API, **headers: str) -> int:
        return api.browser(**headers).post(ESTIMATE, json=ORDER).status_code

    def test_airflows_own_pages_act_with_the_cookie(self, api: API) -> None:
        assert self.post(api, Origin="http://testserver") == 200

    @pytest.mark.parametrize(
        "origin",
        ["https://evil.example", "null", "http://testserver.evil.example", "http://evil.example/testserver", "testserver"],
    )
    def test_another_sites_page_does_not(self, api: API, origin: str) -> None:
        assert self.post(api, Origin=origin) == 403

    def test_a_cookie_without_a_word_on_where_it_comes_from_is_not_enough(self, api: API) -> None:
        assert self.post(api) == 403

    def test_a_configured_address_counts_behind_a_proxy_too(self, api: API, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/af")

        assert self.post(api, Origin="https://airflow.example") == 200
        assert self.post(api, Origin="http://airflow.example") == 403

    def test_a_site_let_in_by_configuration_may_and_a_star_lets_nobody_in(
        self, api: API, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AIRFLOW__API__ACCESS_CONTROL_ALLOW_ORIGINS", "https://studio.example *")

        assert self.post(api, Origin="https://studio.example") == 200
        assert self.post(api, Origin="*") == self.post(api, Origin="https://evil.example") == 403

    def test_a_program_with_a_token_says_no_origin(self, api: API) -> None:
        assert api.client().post(ESTIMATE, json=ORDER).status_code == 200
        assert api.client(Origin="https://evil.example").post(ESTIMATE, json=ORDER).status_code == 403

    def test_looking_is_free(self, api: API) -> None:
        assert api.browser(Origin="https://evil.example").get("/aiprod/presets").status_code == 200

    @pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
    def test_a_form_of_another_page_is_no_order(self, api: API, kind: str) -> None:
        """What a page may send without asking first is never read as JSON."""
        said = api.client().post(ESTIMATE, content=b'{"prompt": "x"}', headers={"Content-Type": kind})

        assert said.status_code == 422

    @pytest.mark.parametrize(("origin", "opens"), [("http://testserver", True), ("https://evil.example", False), (None, False)])
    def test_a_websocket_with_a_cookie_opens_for_airflows_own_pages_only(self, api: API, origin: str | None, opens: bool) -> None:
        api.recorded()
        job_id = api.order()
        browser = api.browser(**({"Origin": origin} if origin else {}))
        if opens:
            with browser.websocket_connect(f"/aiprod/ws/job/{job_id}") as socket:
                assert socket.receive_json()["event"] == "snapshot"
            return
        with pytest.raises(WebSocketDenialResponse) as denied, browser.websocket_connect(f"/aiprod/ws/job/{job_id}"):
            pass
        assert denied.value.status_code == 403
