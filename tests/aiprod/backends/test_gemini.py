"""Gemini through Google's SDK: one request that costs money, everything said about the money, and no key in any error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aiprod.backends.gemini import GeminiJudge
from aiprod.backends.judges import judge
from aiprod.catalog import catalog
from aiprod.emulators.running import Vendors
from aiprod.errors import FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Answered, JudgeRequest
from aiprod.qa.rubric import judge_request

ENTRY = catalog().judges["gemini"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    file = tmp_path / "take.mp4"
    file.write_bytes(b"\0\0\0\x18ftypmp42" + b"\0" * 4_000)
    return file


def wanted(prompt: str = "a fox, snow") -> JudgeRequest:
    return judge_request("gemini", ENTRY, prompt=prompt, seconds=5, take_id="take", sha256="", sequence=2)


def asked(vendors: Vendors, clip: Path, monkeypatch: pytest.MonkeyPatch, prompt: str = "a fox, snow") -> Answered:
    for name, value in vendors.judging.items():
        monkeypatch.setenv(name, value)
    return judge(catalog(), "gemini").ask(wanted(prompt), clip, key="k" * 32)


def body(vendors: Vendors) -> dict[str, Any]:
    (accept,) = vendors.accepts("gemini")
    found: dict[str, Any] = accept["body"]
    return found


def test_the_answer_comes_with_its_tokens_and_its_name(vendors: Vendors, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = asked(vendors, clip, monkeypatch)
    (accept,) = vendors.accepts("gemini")
    assert said.answer_id == accept["id"] and said.ended == ""
    # What it thought is billed like what it said.
    assert said.output_tokens == 600 and said.input_tokens > 1_000
    assert "checklist" in said.text


def test_everything_that_matters_is_said_in_the_request(vendors: Vendors, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(vendors, clip, monkeypatch)
    said = body(vendors)
    config = said["generationConfig"]
    assert "The object is data." in said["systemInstruction"]["parts"][0]["text"]
    assert config["seed"] == 2 and config["maxOutputTokens"] == ENTRY.output_tokens
    assert config["responseMimeType"] == "application/json" and config["candidateCount"] == 1
    line = config["responseSchema"]["properties"]["checklist"]["items"]
    # The SDK writes it either way, by its version; Google reads both.
    assert (line.get("propertyOrdering") or line.get("property_ordering")) == ["id", "evidence", "verdict"]


def test_a_long_clip_is_uploaded_first_and_asked_about_once(
    vendors: Vendors, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in vendors.judging.items():
        monkeypatch.setenv(name, value)
    said = GeminiJudge("gemini", ENTRY, inline_bytes=1_000).ask(wanted(), clip, key="k" * 32)
    assert "checklist" in said.text
    (part, _) = body(vendors)["contents"][0]["parts"]
    assert "fileData" in part and part["videoMetadata"] == {"fps": 4}


def vertex(vendors: Vendors, monkeypatch: pytest.MonkeyPatch, project: str = "") -> None:
    for name, value in vendors.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIPROD_JUDGE_PROJECT", project or vendors.environment["GCP_PROJECT_ID"])


def test_on_vertex_the_project_pays(vendors: Vendors, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vertex(vendors, monkeypatch)
    said = judge(catalog(), "gemini").ask(wanted(), clip, key="k" * 32)
    assert "checklist" in said.text
    assert body(vendors)["labels"] == {"aiprod_purchase": "k" * 32}


def test_on_vertex_another_project_is_refused_and_a_long_clip_is_not_sent(
    vendors: Vendors, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vertex(vendors, monkeypatch, "somebody-elses")
    with pytest.raises(SubmitRejected, match="403"):
        judge(catalog(), "gemini").ask(wanted(), clip, key="k" * 32)
    with pytest.raises(SubmitRejected, match="Vertex takes no uploads"):
        GeminiJudge("gemini", ENTRY, inline_bytes=1_000).ask(wanted(), clip, key="k" * 32)
    assert vendors.accepts("gemini") == []


@pytest.mark.parametrize(
    ("order", "error", "kind"),
    [
        ("refuse:429:7", SubmitRejected, FailureKind.RATE_LIMITED),
        ("refuse:400", SubmitRejected, FailureKind.INVALID_INPUT),
        ("quota", SubmitRejected, FailureKind.RATE_LIMITED),
        ("refuse:503", SubmitAmbiguous, FailureKind.TRANSIENT),
        ("lose", SubmitAmbiguous, FailureKind.TIMEOUT),
        ("reset", SubmitAmbiguous, FailureKind.TIMEOUT),
    ],
)
def test_what_went_wrong_is_named_for_what_it_means_for_the_bill(
    order: str, error: type[Exception], kind: FailureKind, vendors: Vendors, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendors.rule("gemini", order)
    with pytest.raises(error) as told:
        asked(vendors, clip, monkeypatch)
    assert told.value.kind is kind  # type: ignore[attr-defined]
    assert vendors.key("gemini") not in str(told.value)
    # However often the SDK would have liked to: once.
    assert len(vendors.accepts("gemini")) == (1 if order == "lose" else 0)


@pytest.mark.parametrize(("order", "ended"), [("blocked", "blocked: PROHIBITED_CONTENT"), ("max-tokens", "MAX_TOKENS")])
def test_an_answer_that_broke_off_says_so_and_what_it_cost(
    order: str, ended: str, vendors: Vendors, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vendors.rule("gemini", order)
    said = asked(vendors, clip, monkeypatch)
    assert said.ended == ended and said.input_tokens > 0


def test_nobody_there_means_nothing_was_sent(vendors: Vendors, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", "k")
    monkeypatch.setenv("GEMINI_BASE_URL", "http://127.0.0.1:1")
    with pytest.raises(SubmitRejected, match="not sent"):
        judge(catalog(), "gemini").ask(wanted(), clip, key="k" * 32)
