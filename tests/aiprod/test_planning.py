"""An order becomes shots that every backend that may serve can make."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiprod.catalog import catalog
from aiprod.errors import SpecError
from aiprod.models import JobSpec, ShotSpec
from aiprod.planning import eligible, plan, preset_of

VENDORS = ("runway", "veo3", "replicate")


class TestEligible:
    def test_auto_is_every_configured_vendor_in_fallback_order(self, config):
        assert eligible(JobSpec(prompt="a"), config, ["replicate", "animatic", "runway"]) == ("runway", "replicate")

    def test_the_preview_serves_only_when_nobody_else_can(self, config):
        assert eligible(JobSpec(prompt="a"), config, ["animatic"]) == ("animatic",)
        assert eligible(JobSpec(prompt="a"), config, []) == ("animatic",)

    def test_who_is_asked_for_by_name_is_alone(self, config):
        assert eligible(JobSpec(prompt="a", backend="animatic"), config, VENDORS) == ("animatic",)
        assert eligible(JobSpec(prompt="a", backend="veo3"), config, VENDORS) == ("veo3",)

    def test_a_stranger_is_refused_with_the_names_there_are(self, config):
        with pytest.raises(SpecError, match="backend: 'sora' is unknown; known: auto, runway, veo3, replicate, animatic"):
            eligible(JobSpec(prompt="a", backend="sora"), config, VENDORS)


class TestPlan:
    @pytest.mark.parametrize(("seconds", "lengths"), [(5, [5]), (8, [8]), (9, [4.5, 4.5]), (15, [7.5, 7.5]), (30, [7.5] * 4)])
    def test_a_long_order_is_cut_into_equal_shots_that_all_can_make(self, config, seconds, lengths):
        shots = plan("job-1", JobSpec(prompt="a", seconds=seconds), config, VENDORS).shots
        assert [s.seconds for s in shots] == lengths
        assert [s.index for s in shots] == list(range(1, len(lengths) + 1))

    def test_one_backend_alone_makes_the_longest_clips_it_can(self, config):
        assert len(plan("job-1", JobSpec(prompt="a", seconds=20), config, ["runway"]).shots) == 2
        assert len(plan("job-1", JobSpec(prompt="a", seconds=20), config, ["animatic"]).shots) == 1

    def test_a_shot_list_is_taken_as_it_is_with_the_orders_defaults(self, config):
        listed = (ShotSpec(prompt="a", seconds=3, seed=9), ShotSpec(prompt="b"))
        spec = JobSpec(shots=listed, seed=7, reference_image_url="https://example.com/a.png", audio=False, aspect_ratio="9:16")
        made = plan("job-1", spec, config, VENDORS, version=4)
        assert [(s.prompt, s.seconds, s.seed) for s in made.shots] == [("a", 3, 9), ("b", 5, 7)]
        assert {s.reference_image_url for s in made.shots} == {"https://example.com/a.png"}
        assert (made.version, made.audio, made.aspect_ratio, made.resolution) == (4, False, "9:16", "720p")

    def test_the_preset_says_how_long_it_may_be(self, config):
        with pytest.raises(SpecError, match="seconds: 31 s asked, but preset quick_social allows 30 s at most"):
            plan("job-1", JobSpec(prompt="a", seconds=31), config, VENDORS)
        with pytest.raises(SpecError, match="35 s asked"):
            plan("job-1", JobSpec(shots=(ShotSpec(prompt="a"),) * 7), config, VENDORS)
        plan("job-1", JobSpec(prompt="a", seconds=31, preset="brand_campaign"), config, VENDORS)

    def test_an_unknown_preset_is_refused_with_the_names_there_are(self, config):
        with pytest.raises(SpecError, match="preset: 'cheap' is unknown; known: quick_social, brand_campaign, premium_spot"):
            preset_of(JobSpec(prompt="a", preset="cheap"), config)

    @settings(max_examples=60, deadline=None)
    @given(st.floats(1, 180), st.sets(st.sampled_from(VENDORS), min_size=1))
    def test_shots_add_up_to_the_order_and_fit_everybody(self, seconds, backends):
        known = catalog()
        made = plan("job-1", JobSpec(prompt="a", seconds=seconds, preset="premium_spot"), known, sorted(backends))
        assert made.seconds == pytest.approx(seconds)
        for shot in made.shots:
            assert all(shot.seconds <= known.backends[b].longest_clip + 1e-9 for b in backends)
