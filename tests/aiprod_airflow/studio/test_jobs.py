"""The pages about jobs show what the ledger has, to whom it may be shown, and nothing that is not so."""

from __future__ import annotations

from tests.aiprod_airflow.api.people import API

STUDIO = "/aiprod/studio"


class TestJobs:
    def test_an_empty_house_says_what_to_do_first(self, api: API) -> None:
        said = api.browser().get(STUDIO)

        assert said.status_code == 200
        assert "No videos yet" in said.text and f'href="{STUDIO}/new"' in said.text

    def test_every_job_is_a_row_with_its_state_in_words(self, api: API) -> None:
        api.recorded()
        job_id = api.asked()
        said = api.browser().get(STUDIO).text

        assert f'href="{STUDIO}/job/{job_id}"' in said
        assert '<span class="badge asks">Needs approval</span>' in said

    def test_filters_live_in_the_address(self, api: API) -> None:
        api.recorded()
        job_id = api.asked()
        client = api.browser()

        assert job_id in client.get(f"{STUDIO}?show=asks&q=lighthouse").text
        assert "Nothing matches" in client.get(f"{STUDIO}?show=delivered").text
        assert "Nothing matches" in client.get(f"{STUDIO}?q=submarine").text

    def test_another_projects_job_is_not_there(self, api: API) -> None:
        api.recorded()
        job_id = api.asked(project="acme")
        eve = api.browser("eve", "admin")

        assert job_id not in eve.get(STUDIO).text
        assert eve.get(f"{STUDIO}/job/{job_id}").status_code == 404


class TestJob:
    def test_a_prompt_is_words_and_never_markup(self, api: API) -> None:
        api.recorded()
        job_id = api.asked(prompt='<script>alert(1)</script> & a "fish"')
        for path in (STUDIO, f"{STUDIO}/job/{job_id}"):
            said = api.browser().get(path)
            assert "<script>alert" not in said.text
            assert "&lt;script&gt;alert(1)" in said.text
            assert "script-src 'self'" in said.headers["content-security-policy"]

    def test_the_money_asked_for_is_spelled_out_to_the_micro_dollar(self, api: API) -> None:
        api.recorded()
        job_id = api.asked()
        asked = api.look(job_id)["approval"]
        said = api.browser("bob").get(f"{STUDIO}/job/{job_id}").text

        assert "May this job spend up to $" in said
        assert f'name="amount" value="{asked["amount"]}"' in said

    def test_who_may_only_look_is_shown_no_button(self, api: API) -> None:
        api.recorded()
        job_id = api.asked()
        said = api.browser("vera", "viewer").get(f"{STUDIO}/job/{job_id}").text

        assert "You may look, but not approve." in said
        assert "<form" not in said

    def test_a_delivered_video_is_played_and_an_open_one_is_not_promised(self, api: API) -> None:
        api.recorded()
        done, asked = api.delivered(), api.asked()
        client = api.browser()

        assert f'src="/aiprod/job/{done}/video?version=1' in client.get(f"{STUDIO}/job/{done}").text
        assert "Nothing is bought yet." in client.get(f"{STUDIO}/job/{asked}").text

    def test_a_job_that_is_over_is_not_watched(self, api: API) -> None:
        api.recorded()
        done, asked = api.delivered(), api.asked()
        client = api.browser()

        assert "data-watch" not in client.get(f"{STUDIO}/job/{done}").text
        assert f'data-watch="/aiprod/job/{asked}/events?last_event_id=' in client.get(f"{STUDIO}/job/{asked}").text


def test_a_run_leads_to_its_job(api: API) -> None:
    api.recorded()
    job_id = api.asked()
    client = api.browser()
    said = client.get(f"{STUDIO}/run?run_id={job_id}", follow_redirects=False)

    assert (said.status_code, said.headers["location"]) == (303, f"{STUDIO}/job/{job_id}")
    assert "No video here yet" in client.get(f"{STUDIO}/run?run_id={{RUN_ID}}").text
