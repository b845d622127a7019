"""No request weighs more than a megabyte, and nobody orders faster than they may, at whichever api-server."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from aiprod.ledger import Ledger, open_ledger
from aiprod_airflow.api.limits import MAX_BODY
from tests.aiprod_airflow.api.people import API, ORDER

ESTIMATE = "/aiprod/cost-estimate"
JSON = {"Content-Type": "application/json"}


def test_a_body_that_says_it_is_too_large_is_not_read(api: API) -> None:
    said = api.client().post(ESTIMATE, content=b" " * (MAX_BODY + 1), headers=JSON)

    assert (said.status_code, said.json()["detail"]) == (413, "a request is at most 1,000,000 bytes")


@pytest.mark.parametrize("length", ["9" * 30, str(MAX_BODY + 1)])
def test_what_it_says_is_enough(api: API, length: str) -> None:
    assert api.client().post(ESTIMATE, content=b"{}", headers={**JSON, "Content-Length": length}).status_code == 413


def test_a_body_that_does_not_say_is_read_to_the_limit_and_no_further(api: API) -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while read < 100 * MAX_BODY:
            read += 100_000
            yield b" " * 100_000

    said = api.client().post(ESTIMATE, content=endless(), headers=JSON)

    assert said.status_code == 413


def test_a_body_of_just_a_megabyte_is_read(api: API) -> None:
    body = b'{"prompt": "x"}'

    assert api.client().post(ESTIMATE, content=body.ljust(MAX_BODY), headers=JSON).status_code == 200


class TestRate:
    def test_the_order_too_many_is_told_when_to_come_again(self, api: API, monkeypatch: pytest.MonkeyPatch) -> None:
        api.recorded()
        self.at_most(monkeypatch, 2)
        said = [api.client().post("/aiprod/job/create", json=ORDER) for _ in range(3)]

        assert [answer.status_code for answer in said] == [201, 201, 429]
        assert said[2].headers["retry-after"] == "60"
        assert len(api.client().get("/aiprod/jobs").json()["jobs"]) == 2

    def test_one_persons_orders_are_not_anothers_and_the_same_order_again_is_free(
        self, api: API, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api.recorded()
        self.at_most(monkeypatch, 1)
        job_id = api.order()

        assert api.client("bob").post("/aiprod/job/create", json=ORDER).status_code == 201
        assert api.client().post("/aiprod/job/create", json={**ORDER, "job_id": job_id}).status_code == 200

    def test_a_minute_later_it_is_forgotten(self, api: API, monkeypatch: pytest.MonkeyPatch) -> None:
        api.recorded()
        self.at_most(monkeypatch, 1)
        api.order()
        later = Ledger(api.ledger.url, clock=lambda: datetime.now(UTC) + timedelta(seconds=61))
        monkeypatch.setattr("aiprod.verbs.open_ledger", lambda: later)

        assert api.client().post("/aiprod/job/create", json=ORDER).status_code == 201
        assert open_ledger() is not later

    def at_most(self, monkeypatch: pytest.MonkeyPatch, orders: int) -> None:
        from aiprod.catalog import catalog
        from aiprod.pipeline import Pipeline

        known = catalog()
        access = known.access.model_copy(update={"orders_per_minute": orders})
        monkeypatch.setattr(Pipeline, "catalog", known.model_copy(update={"access": access}))
