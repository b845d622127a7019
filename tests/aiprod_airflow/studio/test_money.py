"""Every figure is the ledger's: the export adds up to what the page shows, to the micro-dollar."""

from __future__ import annotations

import csv
import io
import re
from contextlib import suppress
from itertools import repeat

from aiprod.errors import AiprodError
from aiprod.ledger import points
from aiprod.ledger.engine import now as database_now
from aiprod.models import dollars
from tests.aiprod_airflow.api.people import API

PAGE = "/aiprod/studio/money"


def bought(api: API, **order: str) -> str:
    job_id = api.asked(**order)
    amount = api.look(job_id)["approval"]["amount"]
    api.client("bob").post(f"/aiprod/job/{job_id}/approve", json={"version": 1, "amount": amount})
    api.cut(job_id)
    return job_id


def test_the_caps_of_today_are_what_the_next_purchase_finds(api: API) -> None:
    api.recorded()
    said = api.browser().get(PAGE).text

    for cap in api.client().get("/aiprod/budget").json()["caps"]:
        assert f"of {dollars(cap['cap'])}; <strong>{dollars(cap['left'])} left" in said


def test_the_export_adds_up_to_the_page_and_to_the_jobs(api: API) -> None:
    api.recorded()
    charged = api.look(bought(api))["costs"]["charged"]
    client = api.browser()
    rows = list(csv.DictReader(io.StringIO(client.get(f"{PAGE}.csv").text)))

    assert sum(int(row["charged_micros"]) for row in rows) == charged > 0
    assert all(float(row["charged_usd"]) * 1e6 == int(row["charged_micros"]) for row in rows)
    assert f'<td class="n">{dollars(charged)}</td></tr></tfoot>' in client.get(PAGE).text


def test_another_projects_money_is_in_the_sums_without_its_name(api: API) -> None:
    api.recorded()
    job_id = bought(api, project="acme")
    charged = dollars(api.look(job_id)["costs"]["charged"])
    mine, theirs = api.browser("alice").get(PAGE).text, api.browser("eve").get(PAGE).text

    assert '<th scope="rowgroup">acme</th>' in mine
    assert "acme" not in theirs and '<th scope="rowgroup">other projects</th>' in theirs
    assert all(f"<dd>{charged}</dd>" in said for said in (mine, theirs))


def test_a_backends_strikes_and_last_errors_stand_beside_it(api: API) -> None:
    api.recorded()
    job_id = api.asked(prompt="x [[runway=fail]]", backend="runway")
    amount = api.look(job_id)["approval"]["amount"]
    api.client("bob").post(f"/aiprod/job/{job_id}/approve", json={"version": 1, "amount": amount})
    api.pipeline.route([job_id], 1)
    with suppress(AiprodError):
        api.pipeline.render([job_id], "runway", 1)
    said = api.browser().get(PAGE).text

    assert re.search(r'<td class="n">1 of 10000</td>', said)
    assert "<strong>Vendor internal</strong>" in said


def test_a_promise_shows_what_is_left_of_its_errors(api: API) -> None:
    api.recorded()
    assert "Nothing was measured in these days." in api.browser().get(PAGE).text
    with api.ledger.write() as conn:
        for value in (0.2, *repeat(0.9, 19)):
            points.emit(conn, "quality_score", value, now=database_now(conn), dimension="quality")
    api.pipeline.push_metrics()
    said = api.browser().get(PAGE).text

    assert "50 % of the error budget left:</strong> 1 missed it, 2.0 are allowed." in said
    assert '<span class="amount">95 %</span>' in said and '<span class="badge good">Kept</span>' in said


def test_a_day_without_charges_is_shown_as_such(api: API) -> None:
    api.recorded()

    assert "Nothing was charged in these days." in api.browser().get(PAGE).text


def test_purchases_of_hidden_projects_are_not_exported(api: API) -> None:
    api.recorded()
    bought(api)
    mine, theirs = api.browser(), api.browser("eve")

    assert ("Export charges" in mine.get(PAGE).text, "Export charges" in theirs.get(PAGE).text) == (True, False)
    assert (mine.get(f"{PAGE}.csv").status_code, theirs.get(f"{PAGE}.csv").status_code) == (200, 403)
