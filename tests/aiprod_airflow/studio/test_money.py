"""Every figure is the ledger's: the export adds up to what the page shows, to the micro-dollar."""

from __future__ import annotations

import csv
import io

from aiprod.models import dollars
from tests.aiprod_airflow.api.people import API

PAGE = "/aiprod/studio/money"


def bought(api: API) -> str:
    job_id = api.asked()
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


def test_a_day_without_charges_is_shown_as_such(api: API) -> None:
    api.recorded()

    assert "Nothing was charged in these days." in api.browser().get(PAGE).text


def test_purchases_of_hidden_projects_are_not_exported(api: API) -> None:
    api.recorded()
    bought(api)
    mine, theirs = api.browser(), api.browser("eve")

    assert ("Export charges" in mine.get(PAGE).text, "Export charges" in theirs.get(PAGE).text) == (True, False)
    assert (mine.get(f"{PAGE}.csv").status_code, theirs.get(f"{PAGE}.csv").status_code) == (200, 403)
