"""What is bought is legal, what is quoted is what the price book says on that day, and what has no price is not bought."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.budgets import envelope_amount
from aiprod.catalog import Model, Price, Tariff, catalog
from aiprod.models import USD, Answered, Shot, Usage, fingerprint
from aiprod.pricing import (
    NotCapable,
    charged,
    estimate,
    frame_size,
    judgement_cost,
    judgement_quote,
    legal_request,
    old_prices,
    price_of,
    quote,
)
from aiprod.qa.rubric import judge_request
from tests.desk import manifest, request

TODAY = date(2026, 11, 23)
VENDORS = ("runway", "veo3", "replicate")


def ask(config, backend, *, seconds=5.0, **changes):
    made = manifest(seconds=seconds).model_copy(update=changes)
    return legal_request(backend, config.backends[backend], made, made.shots[0])


METERED = Price.model_validate(
    {"backend": "replicate", "model": "m", "usd_per_second": "0.001", "meter": "run_seconds", "longest_run_seconds": 600,
     "valid_from": "2026-01-01", "source": "test", "confidence": "A"}
)  # fmt: skip


class TestCharged:
    """What a vendor's own meter says, in money."""

    def book(self, **changes):
        bills = {"bills": "bought_seconds", "credit_usd": Decimal("0.01"), "prices": (METERED,)} | changes
        return Tariff(name="t", title="t", **bills)

    def asked(self):
        return request(backend="replicate", model="m")

    def test_credits_cost_what_the_tariff_says_a_credit_costs(self):
        assert charged(self.book(credit_usd=Decimal("0.01")), self.asked(), Usage(credits=Decimal(60)), on=TODAY) == 600_000
        assert charged(self.book(credit_usd=Decimal(1)), self.asked(), Usage(credits=Decimal("0.5")), on=TODAY) == 500_000

    def test_no_credits_are_no_money_and_not_no_word(self):
        assert charged(self.book(), self.asked(), Usage(credits=Decimal(0)), on=TODAY) == 0

    def test_a_machines_seconds_are_paid_where_the_price_is_per_machine_second_and_rounded_up_once(self):
        usage = Usage(run_seconds=Decimal("31.2005"), output_seconds=Decimal(5))
        assert charged(self.book(), self.asked(), usage, on=TODAY) == 31_201

    def test_a_videos_seconds_are_paid_where_the_price_is_per_second_of_video(self):
        price = METERED.model_copy(update={"meter": "output_seconds", "longest_run_seconds": None})
        usage = Usage(run_seconds=Decimal(31), output_seconds=Decimal(5))
        assert charged(self.book(prices=(price,)), self.asked(), usage, on=TODAY) == 5_000
        assert charged(self.book(prices=(price,)), self.asked(), Usage(run_seconds=Decimal(31)), on=TODAY) is None

    def test_a_card_that_pays_for_what_was_asked_is_not_read_off_what_was_made(self):
        price = METERED.model_copy(update={"meter": "output_seconds", "longest_run_seconds": None})
        book = self.book(prices=(price,), bills="asked_seconds")
        assert charged(book, self.asked(), Usage(output_seconds=Decimal(6)), on=TODAY) is None

    def test_without_a_price_on_that_day_the_meter_says_nothing(self):
        assert charged(self.book(), self.asked(), Usage(run_seconds=Decimal(31)), on=date(2025, 1, 1)) is None

    def test_of_a_machines_seconds_the_longest_run_is_quoted(self):
        assert quote(self.book(), self.asked(), TODAY) == 600_000

    @pytest.mark.parametrize("change", [{"longest_run_seconds": None}, {"meter": "output_seconds"}])
    def test_a_price_per_machine_second_says_how_long_that_can_be_and_no_other_does(self, change):
        with pytest.raises(ValueError, match="longest_run_seconds"):
            Price.model_validate(METERED.model_dump() | change)


class TestLegal:
    @pytest.mark.parametrize(
        ("backend", "asked", "bought"),
        [
            ("veo3", 5, 6),
            ("veo3", 4, 4),
            ("veo3", 1, 4),
            ("veo3", 6.01, 8),
            ("replicate", 5.5, 10),
            ("runway", 1, 2),
            ("runway", 7.25, 8),
            ("animatic", 7.25, 7.25),
        ],
    )
    def test_a_length_is_snapped_up_to_what_the_model_makes(self, config, backend, asked, bought):
        made = ask(config, backend, seconds=asked)
        assert (made.seconds, made.asked_seconds) == (bought, asked)

    @pytest.mark.parametrize(
        ("backend", "changes", "why"),
        [
            ("veo3", {"seconds": 9}, "makes 8 s at most, 9 s asked"),
            ("runway", {"aspect_ratio": "1:1"}, "gen4.5 has no 1:1; veo3.1 has no 1:1"),
            ("runway", {"resolution": "4k"}, "has no 4k"),
            (
                "replicate",
                {"shots": (Shot(index=1, prompt="a", seconds=5, reference_image_url="https://x.y"),)},
                "takes no reference image",
            ),
            ("runway", {"shots": (Shot(index=1, prompt="🎬" * 501, seconds=5),)}, "prompts of 1000 characters at most"),
        ],
    )
    def test_what_no_model_can_make_says_why_for_each(self, config, backend, changes, why):
        with pytest.raises(NotCapable, match=why):
            ask(config, backend, **changes)

    def test_the_first_model_that_can_is_taken(self, config):
        assert ask(config, "runway").model == "gen4.5"
        assert ask(config, "runway", audio=True).model == "veo3.1"
        assert ask(config, "runway", resolution="1080p").model == "veo3.1"

    def test_the_seed_is_the_orders_or_one_of_job_version_shot_and_sequence(self, config):
        made = manifest(shots=2)
        entry = config.backends["runway"]

        def seed(manifest, shot=1, sequence=1):
            return legal_request("runway", entry, manifest, manifest.shot(shot), sequence=sequence).seed

        drawn = [seed(made), seed(made, 2), seed(made, 1, 2), seed(made.model_copy(update={"version": 2}))]
        assert len(set(drawn)) == 4
        assert seed(made) == drawn[0]
        fixed = made.model_copy(update={"shots": (Shot(index=1, prompt="a", seconds=5, seed=0),)})
        assert seed(fixed) == 0

    @pytest.mark.parametrize(
        ("ratio", "resolution", "size"),
        [
            ("16:9", "720p", (1280, 720)),
            ("9:16", "1080p", (1080, 1920)),
            ("1:1", "480p", (480, 480)),
            ("16:9", "480p", (854, 480)),
            ("4:3", "4k", (2880, 2160)),
        ],
    )
    def test_a_picture_has_even_sides_and_its_short_one_is_the_resolution(self, ratio, resolution, size):
        assert frame_size(ratio, resolution) == size

    @settings(max_examples=100, deadline=None)
    @given(st.lists(st.floats(1, 60), min_size=1, max_size=5), st.floats(1, 60))
    def test_snapping_never_shortens_and_never_invents_a_length(self, lengths, asked):
        model = Model(name="m", seconds=tuple(lengths), aspect_ratios=("16:9",), resolutions=("720p",), audio=True, image=True)
        got = model.snap(asked)
        assert (got is None) is (asked > max(lengths) + 1e-9)
        if got is not None:
            assert got in lengths
            assert got >= asked - 1e-9


def book(*prices, bills="bought_seconds"):
    made = tuple(Price(backend="runway", model="gen4.5", source="s", confidence="A", **price) for price in prices)
    return Tariff(name="t", title="t", bills=bills, credit_usd=1, prices=made)


class TestQuote:
    def test_a_list_pays_for_what_is_bought_and_the_orders_card_for_what_is_asked(self, config, monkeypatch):
        five_on_six = ask(config, "veo3")
        assert quote(config.tariffs["list"], five_on_six, TODAY) == 2_400_000
        assert quote(config.tariffs["phase3"], five_on_six, TODAY) == 2_600_000

    @pytest.mark.parametrize(("backend", "usd"), [("runway", "30"), ("veo3", "2.60"), ("replicate", "0.26"), ("animatic", "0")])
    def test_the_orders_card_says_what_the_order_says(self, config, backend, usd):
        assert quote(config.tariffs["phase3"], ask(config, backend), TODAY) == int(Decimal(usd) * USD)

    def test_a_price_holds_from_its_day_on_until_the_next(self):
        dated = book(
            {"usd_per_second": 1, "valid_from": date(2026, 1, 1)},
            {"usd_per_second": 2, "valid_from": date(2026, 11, 23)},
            {"usd_per_second": 9, "valid_from": date(2027, 1, 1)},
        )
        on = {day: quote(dated, request(), day) for day in (date(2026, 1, 1), date(2026, 11, 22), TODAY, date(2027, 6, 1))}
        assert list(on.values()) == [5 * USD, 5 * USD, 10 * USD, 45 * USD]
        with pytest.raises(NotCapable, match=r"gen4\.5 has no price in tariff t"):
            quote(dated, request(), date(2025, 12, 31))

    def test_a_price_for_sound_is_not_a_price_for_silence(self):
        loud = book({"usd_per_second": 1, "valid_from": TODAY, "audio": True})
        assert price_of(loud, request(), TODAY) is None
        assert price_of(loud, request().model_copy(update={"audio": True}), TODAY) is not None

    def test_a_price_for_4k_is_not_a_price_for_720p(self):
        assert price_of(book({"usd_per_second": 1, "valid_from": TODAY, "resolutions": ("4k",)}), request(), TODAY) is None

    @given(st.decimals("0.000001", 100, places=9), st.floats(1, 60))
    def test_a_quote_is_the_exact_product_rounded_up_once(self, usd, seconds):
        exact = usd * Decimal(str(seconds)) * USD
        got = quote(book({"usd_per_second": usd, "valid_from": TODAY}), request(seconds=seconds), TODAY)
        assert exact <= got < exact + 1


class TestEstimate:
    def price(self, config, backends=VENDORS, attempts=3, *, chosen=None, seconds=5.0, shots=1, **changes):
        made = manifest(seconds=seconds, shots=shots).model_copy(update=changes)
        return estimate(made, config, backends, attempts, chosen or {}, TODAY)

    def test_each_shot_has_a_line_per_backend_that_can_make_it_and_a_reason_where_not(self, config):
        found = self.price(config, shots=2, seconds=9)
        assert [(line.shot, line.backend) for line in found.lines] == [(s, b) for s in (1, 2) for b in ("runway", "replicate")]
        assert [r.split(": veo")[0] for r in found.refusals] == ["shot 1", "shot 2"]

    def test_what_is_cut_off_is_said(self, config):
        note = {line.backend: line.note for line in self.price(config).lines}
        assert note == {"runway": "", "veo3": "bought as 6 s, cut to 5 s in delivery", "replicate": ""}

    def test_expected_is_what_was_chosen(self, config):
        assert self.price(config, shots=2, chosen={1: "runway", 2: "veo3"}).expected == 600_000 + 2_400_000

    def test_the_worst_case_charges_every_attempt_dearest_first(self, config):
        assert [self.price(config, attempts=n).worst_case for n in (1, 2, 3)] == [2_400_000, 3_000_000, 3_500_000]

    def test_with_fewer_backends_than_attempts_the_dearest_is_charged_again(self, config):
        assert self.price(config, ["veo3"]).worst_case == 3 * 2_400_000
        assert self.price(config, ["veo3", "replicate"]).worst_case == 2_400_000 + 500_000 + 2_400_000

    def test_what_nobody_can_make_costs_nothing_and_says_so(self, config):
        found = self.price(config, aspect_ratio="4:3")
        assert (found.lines, found.expected, found.worst_case, len(found.refusals)) == ((), 0, 0, 3)

    @settings(max_examples=60, deadline=None)
    @given(
        st.floats(1, 10),
        st.integers(1, 5),
        st.integers(1, 3),
        st.lists(st.sampled_from(VENDORS), min_size=1, unique=True),
        st.integers(0, 10**8),
    )
    def test_expected_is_within_worst_case_and_the_envelope_within_both_limits(self, seconds, shots, attempts, backends, budget):
        known = catalog()
        lines = self.price(known, backends, attempts, seconds=seconds, shots=shots).lines
        chosen = {line.shot: line.backend for line in lines}
        found = self.price(known, backends, attempts, chosen=chosen, seconds=seconds, shots=shots)
        assert found.expected <= found.worst_case
        assert envelope_amount(budget, found.worst_case) <= min(budget, found.worst_case)


def credits(per_second):
    """A vendor that sells in credits of one cent."""
    return Decimal(per_second) / 100


#: What each vendor charges by its own rule, copied from its price page and not from our price book: the lengths it makes, and
#: dollars per second by (resolution, sound). Sources: facts/vendors.md, lab/vendors/prices.json.
PUBLISHED = {
    ("runway", "gen4.5"): (range(2, 11), {("720p", False): credits(12)}),
    ("runway", "veo3.1"): (
        (4, 6, 8),
        {(size, sound): credits(40 if sound else 20) for size in ("720p", "1080p") for sound in (True, False)},
    ),
    ("veo3", "veo-3.1-generate-001"): (
        (4, 6, 8),
        {
            (size, sound): Decimal("0.60" if size == "4k" else "0.40")
            for size in ("720p", "1080p", "4k")
            for sound in (True, False)
        },
    ),
}
#: Models whose vendor publishes no price we could read: their estimate is checked by the first bill, and says so itself.
UNPUBLISHED = {("replicate", "wan-video/wan-2.5-t2v")}


class TestAgainstTheVendorsOwnRules:
    """The estimate against a bill that shares no figure with our price book."""

    def test_every_model_that_costs_money_is_checked_or_marked_as_guessed(self, config):
        paid = {(name, model.name) for name in config.vendors for model in config.backends[name].models}
        assert paid == set(PUBLISHED) | UNPUBLISHED
        guessed = {(p.backend, p.model) for p in config.tariffs["list"].prices if "guessed" in p.source and p.confidence == "C"}
        assert guessed == UNPUBLISHED

    @pytest.mark.parametrize(("backend", "model"), PUBLISHED, ids="/".join)
    def test_the_estimate_is_the_bill_for_every_length_size_and_sound(self, config, backend, model):
        lengths, prices = PUBLISHED[backend, model]
        entry = config.backends[backend]
        (known,) = (m for m in entry.models if m.name == model)
        alone = entry.model_copy(update={"models": (known,)})
        assert set(known.resolutions) == {size for size, _ in prices}
        checked = 0
        for (size, sound), usd in prices.items():
            for quarter in range(4, int(known.longest * 4) + 1):
                made = manifest(seconds=quarter / 4, audio=sound).model_copy(update={"resolution": size})
                wanted = legal_request(backend, alone, made, made.shot(1))
                billed = usd * min(length for length in lengths if length >= quarter / 4) * USD
                assert wanted.seconds in lengths
                assert abs(quote(config.tariffs["list"], wanted, TODAY) - billed) <= billed * Decimal("0.05")
                assert quote(config.tariffs["list"], wanted, TODAY) == billed
                checked += 1
        assert checked == len(prices) * len(range(4, int(known.longest * 4) + 1))


class TestOldPrices:
    def test_a_price_is_old_after_ninety_days_and_not_on_the_ninetieth(self):
        priced = book({"usd_per_second": 1, "valid_from": date(2026, 1, 1)})
        assert old_prices(priced, date(2026, 4, 1)) == ()
        assert [p.valid_from for p in old_prices(priced, date(2026, 4, 2))] == [date(2026, 1, 1)]

    def test_only_the_price_in_force_counts(self):
        renewed = book({"usd_per_second": 1, "valid_from": date(2026, 1, 1)}, {"usd_per_second": 1, "valid_from": TODAY})
        assert old_prices(renewed, TODAY) == ()
        future = book(
            {"usd_per_second": 1, "valid_from": date(2026, 1, 1)}, {"usd_per_second": 1, "valid_from": date(2027, 1, 1)}
        )
        assert len(old_prices(future, TODAY)) == 1

    def test_sound_and_resolution_have_prices_of_their_own(self):
        mixed = book(
            {"usd_per_second": 1, "valid_from": date(2026, 1, 1), "audio": True},
            {"usd_per_second": 1, "valid_from": TODAY, "audio": False},
        )
        assert [p.audio for p in old_prices(mixed, TODAY)] == [True]

    def test_what_is_free_does_not_age(self):
        assert old_prices(book({"usd_per_second": 0, "valid_from": date(2020, 1, 1)}), TODAY) == ()

    def test_the_shipped_price_book_names_its_old_prices(self, config):
        aged = old_prices(config.tariffs["list"], TODAY)
        assert {(p.backend, p.model) for p in aged} == set(PUBLISHED)
        assert all(p.source for p in aged)


class TestWords:
    """What a vendor is told: the prompt alone, unless the order says more."""

    def told(self, config, *, camera=None, **changes):
        made = manifest(audio=True).model_copy(update=changes)
        shot = made.shots[0].model_copy(update={"camera": camera})
        return legal_request("veo3", config.backends["veo3"], made, shot)

    def test_without_them_the_request_is_byte_for_byte_what_it_always_was(self, config):
        plain = self.told(config)
        assert plain.prompt == "shot 1"
        assert fingerprint(plain.model_dump(mode="json")).startswith("617ee0c3aeb0c97f464f28b1353335b1")

    def test_camera_and_sound_are_added_where_they_are_said(self, config):
        assert self.told(config, camera="slow pan").prompt == "shot 1\nCamera: slow pan."
        both = self.told(config, camera="slow pan", audio_style="rain")
        assert both.prompt == "shot 1\nCamera: slow pan.\nSound: rain."

    def test_how_it_sounds_is_not_said_of_a_silent_video(self, config):
        assert self.told(config, audio=False, audio_style="rain").prompt == "shot 1"

    def test_the_whole_text_has_to_fit_the_model(self, config):
        entry = config.backends["runway"]
        made = manifest()
        room = entry.models[0].max_prompt
        long = made.shots[0].model_copy(update={"prompt": "a" * (room - 5), "camera": "slow pan"})
        with pytest.raises(NotCapable, match=f"takes prompts of {room} characters at most"):
            legal_request("runway", entry.model_copy(update={"models": entry.models[:1]}), made, long)


class TestJudging:
    def asked(self, config, seconds=5.0, model=None):
        entry = config.judges["gemini"]
        found = judge_request("gemini", entry, prompt="a fox", seconds=seconds, take_id="t", sha256="", sequence=1)
        return found.model_copy(update={"model": model or found.model})

    def test_the_quote_is_the_most_it_can_cost_rounded_up_once(self, config):
        asked = self.asked(config)
        exact = Decimal("0.75") * asked.input_tokens + Decimal("3.75") * asked.output_tokens
        assert judgement_quote(config.prices, asked, TODAY) == math.ceil(exact)

    def test_the_cost_is_what_the_tokens_cost_and_no_word_on_tokens_is_no_cost(self, config):
        asked = self.asked(config)
        said = Answered(answer_id="a", text="", input_tokens=6_000, output_tokens=600)
        assert judgement_cost(config.prices, asked, said, on=TODAY) == 4_500 + 2_250
        assert judgement_cost(config.prices, asked, said.model_copy(update={"input_tokens": 0}), on=TODAY) is None

    def test_what_has_no_price_on_that_day_is_not_asked(self, config):
        for asked, day in ((self.asked(config, model="gemini-9"), TODAY), (self.asked(config), date(2020, 1, 1))):
            with pytest.raises(NotCapable, match="has no price"):
                judgement_quote(config.prices, asked, day)

    def test_every_judge_has_a_price_in_every_tariff(self, config):
        for tariff in config.tariffs.values():
            assert judgement_quote(tariff, self.asked(config), TODAY) > 0

    def test_judging_is_counted_once_expected_and_for_every_attempt_at_worst(self, config):
        made = manifest(seconds=4.0)
        bare = estimate(made, config, VENDORS, 3, {1: "veo3"}, TODAY)
        looked_at = estimate(made, config, VENDORS, 3, {1: "veo3"}, TODAY, judging={1: 90_000})
        assert looked_at.judging == 270_000
        assert looked_at.worst_case == bare.worst_case + 270_000
        assert looked_at.expected == bare.expected + 90_000

    def test_a_preview_is_not_judged_and_pays_for_no_judge(self, config):
        found = estimate(manifest(seconds=4.0), config, ("animatic",), 3, {1: "animatic"}, TODAY, judging={1: 90_000})
        assert (found.expected, found.worst_case, found.judging) == (0, 0, 0)
