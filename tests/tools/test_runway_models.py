"""The data file is what the installed SDK says, and the catalogue promises nothing that is not in it."""

from __future__ import annotations

import copy
import json

import pytest

from aiprod.catalog import Catalog, Model
from aiprod.pricing import frame_size
from tools.runway_models import FILE, OPERATIONS, installed, main, moved, written

SAID = json.loads(FILE.read_text(encoding="utf-8"))


def test_the_file_is_what_the_installed_sdk_says() -> None:
    told = moved(SAID, installed())
    assert not told, told


def test_the_file_is_written_the_same_way_every_time() -> None:
    assert FILE.read_text(encoding="utf-8") == written(SAID) == written(dict(reversed(SAID.items())))


def test_what_is_known_of_the_models_on_sale() -> None:
    """Read off Runway's own pages, not off the file: a script that reads the SDK wrongly is noticed here."""
    gen, veo = SAID["text_to_video"]["gen4.5"], SAID["text_to_video"]["veo3.1"]
    assert gen["duration"] == {"whole": True, "least": 2, "most": 10}
    assert gen["required"] == ["duration", "prompt_text", "ratio"] and "audio" not in gen["optional"]
    assert veo["duration"] == {"one_of": [4, 6, 8]}
    assert {"audio", "negative_prompt", "seed"} <= set(veo["optional"])
    assert sorted(veo["ratio"]) == ["1080:1920", "1280:720", "1920:1080", "720:1280"]
    assert SAID["image_to_video"]["gen4.5"]["required"] == ["duration", "prompt_image", "prompt_text", "ratio"]
    assert "gen4_turbo" not in SAID["text_to_video"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda said: said["text_to_video"].pop("veo3.1"), "text_to_video: the SDK no longer has veo3.1."),
        (lambda said: said["image_to_video"].update(gen9={}), "image_to_video: the SDK has the new model gen9."),
        (
            lambda said: said["text_to_video"]["gen4.5"]["duration"].update(most=12),
            'text_to_video: gen4.5 takes duration = {"whole": true, "least": 2, "most": 12}, '
            'the file says {"least": 2, "most": 10, "whole": true}.',
        ),
        (lambda said: said.update(sdk="runwayml 9.0.0"), f"The file was made from {SAID['sdk']}, installed is runwayml 9.0.0."),
    ],
    ids=["a model left", "a model came", "another length", "another version"],
)
def test_an_sdk_that_moved_is_told_in_a_sentence(change, sentence) -> None:
    sdk = copy.deepcopy(installed())
    change(sdk)
    told = moved(SAID, sdk).splitlines()
    assert told[0].startswith("The Runway SDK moved: run `python -m tools.runway_models`") and told[1] == sentence


def test_checking_says_so_and_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = FILE.stat().st_mtime_ns
    assert main(["--check"]) == 0
    assert FILE.stat().st_mtime_ns == before
    assert "is what the installed SDK says" in capsys.readouterr().out


def broken_promises(model: Model) -> list[str]:
    """What the catalogue says of one of Runway's models, and the SDK does not."""
    found = []
    for operation in OPERATIONS[: 2 if model.image else 1]:
        takes = SAID[operation].get(model.name)
        if takes is None:
            return [f"{operation} has no {model.name}"]
        sizes = {frame_size(aspect, resolution) for aspect in model.aspect_ratios for resolution in model.resolutions}
        found += [f"{operation} {w}:{h}" for w, h in sorted(sizes) if f"{w}:{h}" not in takes["ratio"]]
        length = takes["duration"]
        whole = range(length.get("least", 0), length.get("most", -1) + 1) if length.get("whole") else ()
        found += [f"{operation} {s:g} s" for s in model.seconds or () if s not in whole and s not in length.get("one_of", ())]
        found += [f"{operation} any length" for _ in model.seconds_range or ()]
        if model.audio and "audio" not in takes["optional"]:
            found.append(f"{operation} sound")
        if model.max_prompt > takes["prompt_most"]:
            found.append(f"{operation} prompts of {model.max_prompt}")
    return found


def test_the_catalogue_promises_nothing_that_the_sdk_does_not_have(config: Catalog) -> None:
    models = config.backends["runway"].models
    assert {model.name: broken_promises(model) for model in models} == {model.name: [] for model in models}


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({"aspect_ratios": ("16:9", "1:1")}, ["text_to_video 720:720", "image_to_video 720:720"]),
        ({"resolutions": ("4k",), "aspect_ratios": ("16:9",)}, ["text_to_video 3840:2160", "image_to_video 3840:2160"]),
        ({"seconds": (5.5, 12)}, ["text_to_video 5.5 s", "text_to_video 12 s", "image_to_video 5.5 s", "image_to_video 12 s"]),
        ({"audio": True}, ["text_to_video sound", "image_to_video sound"]),
        ({"max_prompt": 2_000, "image": False}, ["text_to_video prompts of 2000"]),
        ({"name": "gen4_turbo"}, ["text_to_video has no gen4_turbo"]),
    ],
)
def test_a_promise_that_nobody_keeps_is_noticed(config: Catalog, change: dict[str, object], broken: list[str]) -> None:
    gen = config.backends["runway"].models[0]
    assert broken_promises(gen.model_copy(update=change)) == broken


def test_every_model_of_the_catalogue_has_a_price_of_every_kind_it_sells(config: Catalog) -> None:
    prices = [p for p in config.tariffs["list"].prices if p.backend == "runway"]
    for model in config.backends["runway"].models:
        sounds = (False, True) if model.audio else (False,)
        assert all(any(p.model == model.name and p.audio in (None, sound) for p in prices) for sound in sounds), model.name
