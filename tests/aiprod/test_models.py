"""Orders are refused in one plain line per field; money and addresses are exactly what they seem."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.errors import SpecError
from aiprod.models import Candidate, Decision, JobSpec, ShotSpec, dollars, fingerprint, limit_micros, micros
from tests.web import EVIL_URLS, GOOD_URLS


def problems(**order):
    with pytest.raises(SpecError) as caught:
        JobSpec.parse({"prompt": "a lighthouse", **order})
    lines = caught.value.problems
    assert all("\n" not in line and "Traceback" not in line and "pydantic" not in line for line in lines)
    return lines


class TestOrders:
    @pytest.mark.parametrize(
        ("order", "line"),
        [
            ({"promt": "x"}, "promt: unknown field"),
            ({"seconds": "long"}, "seconds: must be a valid number, unable to parse string as a number (got 'long')"),
            ({"seconds": None, "seed": 1.5}, "seed: must be a valid integer, got a number with a fractional part (got 1.5)"),
            ({"aspect_ratio": "2:1"}, "aspect_ratio: must be '16:9', '9:16', '1:1', '4:3' or '3:4' (got '2:1')"),
            ({"budget_usd": float("nan")}, "budget_usd: must be a finite number (got nan)"),
            ({"budget_usd": "NaN"}, "budget_usd: must be a finite number (got 'NaN')"),
            ({"budget_usd": float("inf")}, "budget_usd: must be a finite number (got inf)"),
            ({"budget_usd": -1}, "budget_usd: must be greater than or equal to 0 (got -1)"),
            ({"budget_usd": 10**12}, "budget_usd: must be less than or equal to 1000000 (got 1000000000000)"),
            ({"quality_floor": 1.1}, "quality_floor: must be less than or equal to 1 (got 1.1)"),
            ({"seconds": float("nan")}, "seconds: must be a finite number (got nan)"),
            ({"seconds": 0.5}, "seconds: must be greater than or equal to 1 (got 0.5)"),
            ({"prompt": ""}, "prompt: String should have at least 1 character (got '')"),
            ({"prompt": " \n\t "}, "prompt: String should have at least 1 character (got ' \\n\\t ')"),
            ({"prompt": "x" * 10_000}, "prompt: String should have at most 2000 characters"),
            ({"prompt": None}, "give either a prompt or a shot list, not both and not neither"),
            ({"shots": [{"prompt": "a"}]}, "give either a prompt or a shot list, not both and not neither"),
            ({"seconds": True}, "seconds: must be a number (got True)"),
            ({"budget_usd": False}, "budget_usd: must be a number (got False)"),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_a_bad_field_is_one_plain_line(self, order, line):
        assert problems(**order) == (line,)

    def test_every_bad_field_has_its_line(self):
        assert [line.split(":")[0] for line in problems(promt="x", seconds=-1, audio="maybe")] == ["seconds", "audio", "promt"]

    def test_sixty_shots_of_a_tenth_of_a_second_are_said_shortly(self):
        lines = problems(prompt=None, shots=[{"prompt": "a", "seconds": 0.1}] * 60)
        assert lines[:2] == ("shots: at most 40 shots, got 60", "shots.0.seconds: must be greater than or equal to 1 (got 0.1)")
        assert len(lines) == 13
        assert lines[-1].endswith("more problems")

    @pytest.mark.parametrize("raw", [None, [], "a lighthouse", 7, b"{}"], ids=repr)
    def test_what_is_no_order_at_all_is_said_in_one_line(self, raw):
        with pytest.raises(SpecError) as caught:
            JobSpec.parse(raw)
        assert len(caught.value.problems) == 1

    def test_a_field_name_cannot_break_out_of_its_line(self):
        (line,) = problems(**{"x\nprompt: fine " + "y" * 500: 1})
        assert line.endswith("unknown field")
        assert len(line) < 90

    def test_an_empty_shot_list_is_refused(self):
        assert problems(prompt=None, shots=[])[0].startswith("shots:")

    def test_a_shot_list_has_its_own_lengths(self):
        assert problems(prompt=None, seconds=9, shots=[{"prompt": "a"}]) == (
            "seconds: a shot list has its own lengths; leave seconds empty",
        )

    def test_numbers_may_come_as_text_because_forms_and_csv_send_text(self):
        spec = JobSpec.parse(
            {"prompt": "a", "seconds": "5", "budget_usd": "2.50", "seed": "7", "quality_floor": "0.5", "audio": "no"}
        )
        assert (spec.seconds, spec.budget_usd, spec.seed, spec.quality_floor, spec.audio) == (5.0, Decimal("2.50"), 7, 0.5, False)

    @pytest.mark.parametrize(
        "text", ["{{ conn.x.password }}", "'; DROP TABLE jobs; --", "$(id)", "\u0000", "日本語 🎬", "{% raw %}"]
    )
    def test_a_prompt_is_kept_verbatim(self, text):
        assert JobSpec.parse({"prompt": text}).prompt == text

    def test_a_prompt_that_is_no_unicode_is_refused(self):
        assert len(problems(prompt="\ud800")) == 1

    @pytest.mark.parametrize("name", ["a", "job-1", "2026_spring", "x" * 64])
    def test_a_job_id_is_a_slug(self, name):
        assert JobSpec.parse({"prompt": "a", "job_id": name}).job_id == name

    @pytest.mark.parametrize("name", ["", "-a", "_a", "Job", "a b", "../etc", "a/b", "a\n", "a\u0000", "é", "․․", "x" * 65])
    def test_anything_else_is_no_job_id_and_no_project(self, name):
        assert problems(job_id=name)[0].startswith("job_id:")
        assert problems(project=name)[0].startswith("project:")

    @settings(max_examples=60, deadline=None)
    @given(st.dictionaries(st.text(max_size=8), st.none() | st.booleans() | st.floats() | st.text(max_size=9), max_size=4))
    def test_whatever_is_sent_is_an_order_or_a_spec_error(self, raw):
        lines: tuple[str, ...] = ()
        try:
            JobSpec.parse(raw)
        except SpecError as error:
            lines = error.problems
        assert not [line for line in lines if "\n" in line]


class TestSameOrder:
    def test_orders_of_before_there_was_camera_and_audio_style_keep_their_fingerprints(self):
        listed = JobSpec(shots=(ShotSpec(prompt="a lake"), ShotSpec(prompt="a boat", seconds=3, seed=7)))
        assert JobSpec(prompt="a lake", seconds=5, preset="brand_campaign").fingerprint.startswith("c6707797adde1adf76158ae4")
        assert listed.fingerprint.startswith("cfb0b2fc67c6528e3ec1eb8f6907")
        moved = listed.model_copy(update={"shots": (ShotSpec(prompt="a lake", camera="slow pan"), *listed.shots[1:])})
        styled = listed.model_copy(update={"audio_style": "rain"})
        assert len({listed.fingerprint, moved.fingerprint, styled.fingerprint}) == 3

    def test_the_name_does_not_count(self):
        assert JobSpec(prompt="a", job_id="x").fingerprint == JobSpec(prompt="a").fingerprint

    def test_a_budget_spelled_otherwise_is_the_same(self):
        assert len({JobSpec(prompt="a", budget_usd=b).fingerprint for b in (5, 5.0, "5", "5.000")}) == 1

    @pytest.mark.parametrize(
        "other", [{"prompt": "b"}, {"budget_usd": 6}, {"budget_usd": None}, {"audio": False}, {"seed": 0}], ids=str
    )
    def test_anything_else_does(self, other):
        base = {"prompt": "a", "budget_usd": 5}
        assert JobSpec(**base).fingerprint != JobSpec(**{**base, **other}).fingerprint

    def test_a_fingerprint_does_not_depend_on_the_order_of_keys(self):
        assert fingerprint({"a": 1, "b": [2, {"c": 3, "d": 4}]}) == fingerprint({"b": [2, {"d": 4, "c": 3}], "a": 1})

    def test_the_length_is_the_shots_the_seconds_or_five(self):
        assert JobSpec(prompt="a").total_seconds == 5
        assert JobSpec(prompt="a", seconds=7).total_seconds == 7
        assert JobSpec(shots=(ShotSpec(prompt="a", seconds=2), ShotSpec(prompt="b"))).total_seconds == 7


class TestAddresses:
    @pytest.mark.parametrize("url", GOOD_URLS)
    def test_a_public_https_address_is_taken_as_it_is(self, url):
        assert JobSpec.parse({"prompt": "a", "reference_image_url": url}).reference_image_url == url

    @pytest.mark.parametrize("url", EVIL_URLS)
    def test_anything_that_could_lead_inside_is_refused(self, url):
        (line,) = problems(reference_image_url=url)
        assert line.startswith("reference_image_url: ")

    @pytest.mark.parametrize("url", EVIL_URLS[:3])
    def test_also_in_a_shot_list(self, url):
        (line,) = problems(prompt=None, shots=[{"prompt": "a", "reference_image_url": url}])
        assert line.startswith("shots.0.reference_image_url: ")


class TestMoney:
    @pytest.mark.parametrize(
        ("usd", "price", "limit"),
        [
            ("1", 1_000_000, 1_000_000),
            ("0.0000001", 1, 0),
            ("2.6000001", 2_600_001, 2_600_000),
            ("0", 0, 0),
            ("9007199254", 9007199254 * 10**6, 9007199254 * 10**6),
        ],
    )
    def test_a_price_is_rounded_up_and_a_limit_down(self, usd, price, limit):
        assert (micros(Decimal(usd)), limit_micros(Decimal(usd))) == (price, limit)

    @given(st.decimals(0, 10**6, allow_nan=False, places=9), st.decimals(0, 10**6, allow_nan=False, places=9))
    def test_what_is_priced_under_a_limit_is_under_it(self, price, limit):
        if micros(price) <= limit_micros(limit):
            assert price <= limit

    @pytest.mark.parametrize(
        ("amount", "text"),
        [
            (0, "$0.00"),
            (1_500_000, "$1.50"),
            (52_000, "$0.052"),
            (1, "$0.000001"),
            (1_234_567_890_000, "$1,234,567.89"),
            (-20_000_000, "$-20.00"),
        ],
    )
    def test_dollars_are_shown_as_people_read_them_and_never_rounded(self, amount, text):
        assert dollars(amount) == text


class TestDecision:
    def test_it_reads_as_a_sentence_with_every_loser_and_why(self):
        decision = Decision(
            shot=2,
            chosen="veo3",
            model="m",
            quote=2_600_000,
            candidates=(
                Candidate(backend="runway", model="g", lost="unhealthy"),
                Candidate(backend="veo3", model="m", rank=1),
                Candidate(backend="replicate", model="w", lost="lower expected quality"),
            ),
        )
        assert str(decision) == (
            "Shot 2 goes to veo3 (m) for $2.60: best expected quality. Not runway: unhealthy; replicate: lower expected quality."
        )

    def test_that_nobody_can_is_a_sentence_too(self):
        assert str(Decision(shot=1, chosen=None)) == "Shot 1: no backend can take it (none known)."

    def test_a_choice_below_the_floor_says_so(self):
        decision = Decision(shot=1, chosen="a", model="m", quote=0, floor=0.9, degraded=True)
        assert "below the floor of 0.9, which the preset allows" in str(decision)


def test_nouns_are_frozen_and_closed():
    spec = JobSpec(prompt="a")
    with pytest.raises(ValueError, match="frozen"):
        spec.prompt = "b"
    with pytest.raises(ValueError, match="Extra inputs"):
        ShotSpec(prompt="a", colour="red")


def test_the_schema_of_the_form_has_a_text_for_every_field():
    schema = JobSpec.model_json_schema()
    json.dumps(schema)
    assert next(iter(schema["properties"])) == "prompt"
    assert all(field.get("title") and field.get("description") for field in schema["properties"].values())


class TestAllows:
    def test_an_order_that_wants_nothing_on_purpose_is_the_order_it_always_was(self) -> None:
        plain = JobSpec(prompt="a fox")
        assert plain.fingerprint == JobSpec(prompt="a fox", allows=()).fingerprint
        assert plain.fingerprint != JobSpec(prompt="a fox", allows=("cuts",)).fingerprint

    def test_forms_send_one_text_and_the_order_of_words_means_nothing(self) -> None:
        said = JobSpec.parse({"prompt": "a fox", "allows": "cuts, bars,cuts"})
        assert said.allows == ("bars", "cuts")
        assert said.fingerprint == JobSpec(prompt="a fox", allows=("cuts", "bars")).fingerprint

    def test_a_word_that_nobody_knows_is_refused(self) -> None:
        with pytest.raises(SpecError, match="allows"):
            JobSpec.parse({"prompt": "a fox", "allows": ["explosions"]})
