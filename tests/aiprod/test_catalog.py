"""The shipped configuration loads, and a mistake in it is named with file and line."""

from __future__ import annotations

import re
import shutil

import pytest

from aiprod import settings
from aiprod.catalog import BackendConfig, catalog, load
from aiprod.errors import ConfigError
from aiprod.models import USD, VideoBackend


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped configuration that a test may spoil."""
    return shutil.copytree(settings.config_dir(), tmp_path / "config")


@pytest.fixture
def spoil(folder):
    def change(file, old, new, *, count=1):
        path = folder / file
        text = path.read_text()
        assert old in text, f"{file} has no {old!r}"
        path.write_text(text.replace(old, new, count))
        with pytest.raises(ConfigError) as caught:
            load(folder)
        return str(caught.value).removeprefix(f"{folder}/")

    return change


def line_of(folder, file, text):
    return next(n for n, line in enumerate((folder / file).read_text().splitlines(), start=1) if text in line)


class TestMistakes:
    @pytest.mark.parametrize(
        ("file", "old", "new", "said"),
        [
            ("presets.yaml", "quality_floor: 0.6", "qualty_floor: 0.6", "presets.quick_social.qualty_floor: unknown key"),
            (
                "presets.yaml",
                "quality_floor: 0.6",
                "quality_floor: 1.6",
                "presets.quick_social.quality_floor: Input should be less",
            ),
            (
                "presets.yaml",
                "second_review: false",
                "second_review: sometimes",
                "presets.quick_social.second_review: Input should be",
            ),
            (
                "presets.yaml",
                "quality_floor: 0.6",
                "quality_floor: 0.6\n    quality_floor: 0.5",
                "'quality_floor' is given twice",
            ),
            ("presets.yaml", "quality_floor: 0.6", "quality_floor: [0.6", "expected ',' or ']'"),
            ("backends.yaml", "slots: 2", "slots: 0", "backends.runway.slots: Input should be greater than"),
            ("backends.yaml", "seconds_range: [1, 60]", "fps: 24", "give either seconds (a list) or seconds_range"),
            ("budgets.yaml", "zone: UTC", "zone: Mars/Olympus", "zone: 'Mars/Olympus' is not an IANA time zone"),
            ("budgets.yaml", "day_usd: 100", "day_usd: .nan", "day_usd: Input should be a finite number"),
            ("budgets.yaml", "day_usd: 100", "day_usd: -1", "day_usd: Input should be greater"),
            ("budgets.yaml", "project_usd: {}", "project_usd: {acme: -1}", "project_usd.acme: Input should be greater"),
            (
                "prices/list.yaml",
                "usd_per_second: 0.12",
                "usd_per_second: free",
                "usd_per_second: Input should be a valid decimal",
            ),
            ("metrics.yaml", "kind: counter", "kind: histogram", "kind: Input should be 'distribution'"),
            ("quality.yaml", "major_weight: 0.55", "major_weight: 55", "major_weight: Input should be less"),
        ],
    )
    def test_one_is_named_with_file_and_line(self, spoil, folder, file, old, new, said):
        message = spoil(file, old, new)
        found = [re.match(rf".*{file}:(\d+): (.*)", line) for line in message.splitlines()]
        assert all(found), message
        assert any(said in match[2] for match in found), message
        assert max(int(match[1]) for match in found) <= len((folder / file).read_text().splitlines())

    def test_the_line_is_the_right_one(self, spoil, folder):
        message = spoil("backends.yaml", "expected_seconds: 75", "expected_secs: 75")
        assert (
            f"backends.yaml:{line_of(folder, 'backends.yaml', 'expected_secs')}: backends.veo3.expected_secs: unknown key"
            in message
        )

    def test_the_line_of_an_item_in_a_list_too(self, spoil, folder):
        message = spoil("prices/list.yaml", "confidence: C}", "confidence: D}")
        assert message.startswith(f"prices/list.yaml:{line_of(folder, 'prices/list.yaml', 'confidence: D')}: prices.")

    def test_all_of_them_are_named_at_once(self, spoil):
        message = spoil("presets.yaml", "max_seconds: 30", "max_seconds: -1\n    colour: red")
        assert len(message.splitlines()) == 2

    @pytest.mark.parametrize("file", ["presets.yaml", "backends.yaml", "budgets.yaml", "quality.yaml", "metrics.yaml"])
    def test_a_missing_file_is_named(self, folder, file):
        (folder / file).unlink()
        with pytest.raises(ConfigError, match=f"{file}: cannot be read"):
            load(folder)

    @pytest.mark.parametrize("text", ["", "- a\n- b\n", "just words"])
    def test_a_file_that_holds_something_else_is_named(self, folder, text):
        (folder / "presets.yaml").write_text(text)
        with pytest.raises(ConfigError, match=r"presets.yaml:1: "):
            load(folder)

    def test_a_price_of_a_backend_nobody_knows_is_refused(self, spoil):
        assert "prices for unknown backends: sora" in spoil("prices/list.yaml", "backend: veo3", "backend: sora")

    def test_a_price_of_auto_is_no_price(self, spoil):
        assert "prices for unknown backends: auto" in spoil("prices/list.yaml", "backend: veo3", "backend: auto")

    def test_a_cap_on_a_backend_nobody_knows_is_refused_because_it_would_cap_nothing(self, spoil):
        assert "unknown backends: runwy" in spoil("budgets.yaml", "backend_day_usd: {}", "backend_day_usd: {runwy: 5}")

    def test_a_fallback_to_a_backend_nobody_knows_is_refused(self, spoil):
        assert "fallback_order names unknown backends: sora" in spoil(
            "backends.yaml", "[runway, veo3, replicate]", "[runway, sora]"
        )

    def test_a_tariff_nobody_wrote_is_refused_with_the_ones_there_are(self, monkeypatch):
        monkeypatch.setenv("AIPROD_TARIFF", "free")
        with pytest.raises(ConfigError, match="AIPROD_TARIFF='free': no such tariff; known: list, phase3"):
            catalog()


class TestShipped:
    def test_it_says_what_the_order_says(self, config):
        face = BackendConfig.of(config)
        assert face.QUALITY == {"runway": 0.95, "veo3": 0.92, "replicate": 0.75, "animatic": None}
        assert face.FALLBACK_ORDER == ("runway", "veo3", "replicate")
        assert (config.strikes, config.budgets.day_usd, config.budgets.day_warn_usd) == (3, 100, 90)

    def test_the_orders_card_is_the_face_under_its_tariff(self, monkeypatch):
        monkeypatch.setenv("AIPROD_TARIFF", "phase3")
        assert BackendConfig.of(catalog()).COSTS == {"runway": 30 * USD, "veo3": 2_600_000, "replicate": 260_000, "animatic": 0}

    def test_the_presets_are_those_of_the_house(self, config):
        found = {n: (p.quality_floor, p.max_seconds, p.second_review, p.unscored) for n, p in config.presets.items()}
        assert found == {
            "quick_social": (0.6, 30, False, "deliver"),
            "brand_campaign": (0.8, 120, False, "ask"),
            "premium_spot": (0.9, 180, True, "ask"),
        }
        assert [n for n, p in config.presets.items() if p.auto_approve_usd is not None] == ["quick_social"]

    def test_every_model_has_a_price_in_every_tariff_for_what_it_can_make(self, config):
        for tariff in config.tariffs.values():
            for name, entry in config.backends.items():
                for model in entry.models:
                    priced = [p for p in tariff.prices if (p.backend, p.model) == (name, model.name)]
                    assert priced, f"{tariff.name} has no price for {name} {model.name}"

    def test_every_price_is_of_a_model_there_is(self, config):
        for tariff in config.tariffs.values():
            for price in tariff.prices:
                assert price.model in {m.name for m in config.backends[price.backend].models}, price

    def test_every_backend_people_may_type_is_known(self, config):
        assert {b.value for b in VideoBackend} - {"auto"} <= set(config.backends)

    def test_vendors_come_in_fallback_order_and_the_preview_last(self, config):
        assert config.vendors == ("runway", "veo3", "replicate")
        assert config.backend_order == ("runway", "veo3", "replicate", "animatic")

    def test_it_is_read_once_per_process_and_frozen(self, config):
        assert catalog() is catalog()
        with pytest.raises(ValueError, match="frozen"):
            config.strikes = 4

    def test_another_folder_is_another_catalogue(self, folder, monkeypatch, config):
        (folder / "budgets.yaml").write_text((folder / "budgets.yaml").read_text().replace("day_usd: 100", "day_usd: 7"))
        monkeypatch.setenv("AIPROD_CONFIG_DIR", str(folder))
        assert (catalog().budgets.day_usd, config.budgets.day_usd) == (7, 100)


class TestAccess:
    def test_a_project_that_nobody_listed_is_everybodys(self, folder):
        assert load(folder).access.hidden_from("anybody") == ()

    def test_a_listed_project_is_its_members_only(self, folder):
        (folder / "projects.yaml").write_text("projects: {acme: {members: [alice]}, beta: {members: [alice, bob]}}")
        access = load(folder).access

        assert [access.hidden_from(name) for name in ("alice", "bob", "Alice")] == [(), ("acme",), ("acme", "beta")]

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("projects: {Acme Inc: {members: []}}", "projects.yaml:1: projects.Acme Inc"),
            ("projects: {acme: {member: [alice]}}", "projects.acme.member: unknown key"),
            ("orders_per_minute: 0", "orders_per_minute: Input should be greater"),
        ],
    )
    def test_a_slip_of_the_pen_opens_nothing(self, folder, text, said):
        (folder / "projects.yaml").write_text(text)
        with pytest.raises(ConfigError, match=re.escape(said)):
            load(folder)


class TestJudges:
    @pytest.mark.parametrize(
        ("file", "old", "new", "said"),
        [
            ("quality.yaml", "judge: gemini", "judge: claire", "semantic.judge names an unknown judge: claire"),
            ("quality.yaml", "elements: 0.3", "elements: 0.4", "weights: must sum up to 1"),
            ("quality.yaml", "calibration: null", "calibration: {source: a, labels: 3, points: [[0, 0], [1, 1]]}", "100"),
            (
                "quality.yaml",
                "calibration: null",
                "calibration: {source: a, labels: 200, points: [[0, 0.5], [1, 0.2]]}",
                "must not fall",
            ),
            ("judges.yaml", "  gemini:", "  veo3:", "unknown"),
            ("prices/list.yaml", "judge: gemini", "judge: claire", "prices for unknown backends: claire"),
        ],
    )
    def test_a_mistake_about_judging_is_named(self, spoil, file, old, new, said):
        assert said in spoil(file, old, new)

    def test_nobody_in_force_is_nobody(self, config):
        quiet = config.quality.model_copy(update={"semantic": config.quality.semantic.model_copy(update={"judge": None})})
        assert config.judge is not None and config.model_copy(update={"quality": quiet}).judge is None

    def test_a_judge_is_paid_like_a_backend(self, config):
        assert config.payee("gemini") is config.judges["gemini"]
        assert config.payee("runway") is config.backends["runway"]


class TestDelivery:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ('"{project}_{job}_v{n}"', '"{customer}"', "only {project}, {job} and {n}"),
            ('"{project}_{job}_v{n}"', '"{project.__class__}"', "letters, digits"),
            ('"{project}_{job}_v{n}"', '"../{job}"', "letters, digits"),
            ("loudness_lufs: -14", "loudness_lufs: 3", "loudness_lufs"),
            ("container: mp4", "container: webm\nprovenance: required", "given twice"),
            ("presets: {}", "presets: {quick_social: {container: avi}}", "container"),
        ],
    )
    def test_a_mistake_about_deliveries_is_named(self, spoil, old, new, said):
        assert said in spoil("delivery.yaml", old, new)

    def test_a_preset_may_differ(self, config):
        rules = config.delivery.model_copy(update={"presets": {"premium_spot": {"loudness_lufs": -23}}})
        assert rules.of("premium_spot").loudness_lufs == -23
        assert rules.of("quick_social").loudness_lufs == config.delivery.loudness_lufs == -14
