"""Runway's protocol, read by Runway's own SDK in strict mode, and what goes wrong on order."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
import runwayml

BODY = {"model": "gen4.5", "promptText": "a kite", "ratio": "1280:720", "duration": 2}


@pytest.fixture
def sdk(vendors: Any, client: httpx.Client) -> Any:
    options: dict[str, Any] = {"max_retries": 0, "http_client": client, "_strict_response_validation": True}
    return runwayml.RunwayML(api_key=vendors.key("runway"), base_url=vendors.url, **options)


def create(sdk: Any, prompt: str = "a kite", **changes: Any) -> Any:
    asked = {"model": "gen4.5", "prompt_text": prompt, "ratio": "1280:720", "duration": 2} | changes
    return sdk.text_to_video.create(**asked)


def ended(sdk: Any, prompt: str) -> Any:
    return sdk.tasks.retrieve(create(sdk, prompt).id)


def test_a_task_is_created_watched_and_fetched_as_their_sdk_understands_it(client: httpx.Client, vendors: Any, sdk: Any) -> None:
    vendors.terms(seconds_per_render=100)
    task = create(sdk)
    seen = []
    for _ in range(4):
        seen.append(sdk.tasks.retrieve(task.id).status)
        vendors.advance(40 if len(seen) > 1 else 5)
    assert seen == ["PENDING", "PENDING", "RUNNING", "RUNNING"]
    vendors.advance(100)
    done = sdk.tasks.retrieve(task.id)
    assert (done.status, done.cost.credits, task.estimated_cost.credits) == ("SUCCEEDED", 24, 24)
    assert task.id.encode() in client.get(done.output[0]).content


def test_what_it_accepts_is_booked_with_everything_one_needs_to_judge(vendors: Any, sdk: Any) -> None:
    task = create(sdk, "[[runway=bill:1.3]]")
    (booked,) = vendors.accepts("runway")
    assert (booked["id"], booked["model"], booked["seconds"]) == (task.id, "gen4.5", 2)
    assert (booked["price_micros"], booked["billable_micros"]) == (240_000, 320_000)
    assert booked["body"] == BODY | {"promptText": "[[runway=bill:1.3]]"}
    assert sdk.tasks.retrieve(task.id).cost.credits == 32


@pytest.mark.parametrize(("model", "audio", "credits"), [("veo3.1", True, 160), ("veo3.1", False, 80), ("veo3.1_fast", True, 60)])
def test_sound_has_its_price(sdk: Any, model: str, audio: bool, credits: int) -> None:
    assert create(sdk, model=model, duration=4, audio=audio).estimated_cost.credits == credits


def test_an_image_can_be_where_it_starts(sdk: Any, vendors: Any) -> None:
    made = sdk.image_to_video.create(model="gen4_turbo", prompt_image="https://example.com/a.png", ratio="960:960", duration=5)
    assert sdk.tasks.retrieve(made.id).cost.credits == 25
    assert vendors.accepts()[0]["body"]["promptImage"] == "https://example.com/a.png"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"model": "gen9"}, "model"),
        ({"model": "gen4_turbo"}, "model"),
        ({"ratio": "16:9"}, "ratio"),
        ({"duration": 11}, "duration"),
        ({"duration": 2.5}, "duration"),
        ({"promptText": ""}, "promptText"),
        ({"promptText": "🎬" * 501}, "promptText"),
        ({"seed": -1}, "seed"),
        ({"audio": True}, "audio"),
    ],
)
def test_a_body_that_breaks_a_rule_is_refused_and_says_which(ask: Any, vendors: Any, change: dict[str, Any], field: str) -> None:
    said = ask("runway", "POST", "/v1/text_to_video", BODY | change)
    assert said.status_code == 400
    assert [issue["path"] for issue in said.json()["issues"]] == [[field]]
    assert said.json()["error"] and said.json()["docUrl"]
    assert vendors.accepts() == []


@pytest.mark.parametrize(
    ("headers", "status"), [({"Authorization": "Bearer no"}, 401), ({"X_Runway_Version": "2020-01-01"}, 400)]
)
def test_both_headers_are_wanted(ask: Any, headers: dict[str, str], status: int) -> None:
    assert ask("runway", "GET", "/v1/organization", **headers).status_code == status


@pytest.mark.parametrize(
    ("word", "error", "says"),
    [
        ("refuse:429", runwayml.RateLimitError, "Too many"),
        ("refuse:503", runwayml.InternalServerError, "overloaded"),
        ("quota", runwayml.RateLimitError, "daily"),
        ("broke", runwayml.BadRequestError, "not have enough credits"),
        ("moderated:http", runwayml.BadRequestError, "moderation"),
    ],
)
def test_a_refusal_is_said_as_they_say_it_and_nothing_runs(sdk: Any, vendors: Any, word: str, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        create(sdk, f"[[runway={word}]]")
    assert vendors.accepts() == []
    assert vendors.faults() == [word.partition(":")[0]]


def test_who_is_told_when_to_come_back_is_told_in_seconds(ask: Any) -> None:
    said = [ask("runway", "POST", "/v1/text_to_video", BODY | {"promptText": f"[[runway=refuse:429{s}]]"}) for s in ("", ":30")]
    assert [one.headers.get("retry-after") for one in said] == [None, "30"]


def test_an_account_without_money_is_refused(vendors: Any, sdk: Any) -> None:
    vendors.terms(credit=300_000)
    create(sdk)
    with pytest.raises(runwayml.BadRequestError, match="not have enough credits"):
        create(sdk)
    assert sdk.organization.retrieve().credit_balance == 6


@pytest.mark.parametrize(
    ("word", "code", "credits"),
    [
        ("fail", "INTERNAL.BAD_OUTPUT.CODE01", 0),
        ("fail:ASSET.INVALID", "ASSET.INVALID", 0),
        ("fail-charged", "INTERNAL.BAD_OUTPUT.CODE01", 24),
        ("moderated", "SAFETY.INPUT.TEXT", 24),
        ("moderated-late", "SAFETY.OUTPUT.VIDEO", 24),
    ],
)
def test_a_failure_has_its_code_and_its_cost(sdk: Any, vendors: Any, word: str, code: str, credits: int) -> None:
    failed = ended(sdk, f"[[runway={word}]]")
    assert (failed.status, failed.failure_code, failed.cost.credits) == ("FAILED", code, credits)
    assert vendors.accepts()[0]["billable_micros"] == credits * 10_000


def test_other_ends_are_theirs_too(sdk: Any) -> None:
    assert ended(sdk, "[[runway=aborted]]").status == "CANCELLED"
    assert ended(sdk, "[[runway=empty]]").output == []
    task = create(sdk, "[[runway=flip]]")
    assert [sdk.tasks.retrieve(task.id).status for _ in range(3)] == ["SUCCEEDED", "FAILED", "FAILED"]


def test_a_status_word_nobody_documented_is_no_word_of_their_sdk(sdk: Any, ask: Any) -> None:
    task = create(sdk, "[[runway=strange:DREAMING]]")
    assert ask("runway", "GET", f"/v1/tasks/{task.id}").json()["status"] == "DREAMING"
    with pytest.raises(runwayml.APIResponseValidationError):
        sdk.tasks.retrieve(task.id)


def test_who_waits_in_the_queue_is_throttled(vendors: Any, sdk: Any) -> None:
    task = create(sdk, "[[runway=queue:60]]")
    assert sdk.tasks.retrieve(task.id).status == "THROTTLED"
    vendors.advance(60)
    assert sdk.tasks.retrieve(task.id).status == "SUCCEEDED"


def test_a_task_that_is_there_can_be_unknown_or_busy_for_a_while(sdk: Any) -> None:
    hidden, busy = create(sdk, "[[runway=vanish:1]]"), create(sdk, "[[runway=busy:503x2]]")
    with pytest.raises(runwayml.NotFoundError):
        sdk.tasks.retrieve(hidden.id)
    assert sdk.tasks.retrieve(hidden.id).status == "SUCCEEDED"
    for _ in range(2):
        with pytest.raises(runwayml.InternalServerError):
            sdk.tasks.retrieve(busy.id)
    assert sdk.tasks.retrieve(busy.id).status == "SUCCEEDED"


@pytest.mark.parametrize(("order", "left"), [("queue:60", 0), ("slow:0", 240_000), ("hang", 240_000)])
def test_deleting_refunds_what_had_not_begun_and_nothing_else(vendors: Any, sdk: Any, order: str, left: int) -> None:
    task = create(sdk, f"[[runway={order}]]")
    sdk.tasks.delete(task.id)
    with pytest.raises(runwayml.NotFoundError):
        sdk.tasks.retrieve(task.id)
    with pytest.raises(runwayml.NotFoundError):
        sdk.tasks.delete(task.id)
    assert vendors.accepts()[0]["billable_micros"] == left


# --- outputs --------------------------------------------------------------------------------------------


def test_an_address_works_for_a_day_and_asking_again_gives_another(client: httpx.Client, vendors: Any, sdk: Any) -> None:
    task = create(sdk)
    old = sdk.tasks.retrieve(task.id).output[0]
    vendors.advance(25 * 3600)
    fresh = sdk.tasks.retrieve(task.id).output[0]
    assert (client.get(old).status_code, client.get(fresh).status_code) == (403, 200)
    assert client.get(fresh.replace("_jwt=1", "_jwt=2")).status_code == 403


def test_the_first_address_can_have_expired_already(client: httpx.Client, sdk: Any) -> None:
    task = create(sdk, "[[runway=expired]]")
    assert [client.get(sdk.tasks.retrieve(task.id).output[0]).status_code for _ in range(2)] == [403, 200]


def test_a_key_that_is_given_to_the_file_server_is_booked_as_a_leak(client: httpx.Client, sdk: Any, vendors: Any) -> None:
    address = ended(sdk, "a").output[0]
    client.get(address)
    assert [e for e in vendors.events() if e["event"] == "leak"] == []
    client.get(address, headers={"Authorization": "Bearer x"})
    assert len([e for e in vendors.events() if e["event"] == "leak"]) == 1


# --- the account ----------------------------------------------------------------------------------------


def test_the_account_says_what_is_left_what_it_may_do_and_what_was_spent(sdk: Any) -> None:
    before = sdk.organization.retrieve().credit_balance
    create(sdk)
    account = sdk.organization.retrieve()
    assert before - account.credit_balance == 24
    assert account.tier.models["gen4.5"].max_daily_generations
    assert account.usage.models["gen4.5"].daily_generations == 1
    (day,) = sdk.organization.retrieve_usage().results
    assert [(used.model, used.amount) for used in day.used_credits] == [("gen4.5", 24)]
