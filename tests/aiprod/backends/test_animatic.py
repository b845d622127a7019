"""The embedded backend: one key is one drawing, and what it says about a lost one is true."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from datetime import UTC, datetime

import av
import numpy as np
import pytest

from aiprod.backends.animatic import AnimaticBackend
from aiprod.catalog import catalog
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from aiprod.models import Found, JobState, RenderRequest
from aiprod.qa import Expected, judge, measure

NOW = datetime.now(UTC)


def wanted(prompt="A lighthouse at sunset", *, seconds=1.0, width=320, height=180, fps=24, audio=True, seed=1, shot=1):
    return RenderRequest(
        backend="animatic", model="animatic-1", prompt=prompt, seconds=seconds, asked_seconds=seconds, aspect_ratio="16:9",
        resolution="480p", width=width, height=height, fps=fps, audio=audio, seed=seed, shot=shot,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("AIPROD_VAR_DIR", str(tmp_path))
    return tmp_path / "animatic"


@pytest.fixture
def backend(folder):
    return AnimaticBackend("animatic", catalog().backends["animatic"])


@pytest.fixture
def held(folder):
    """Another process that holds the lock of `key-1`, as one that draws does."""
    folder.mkdir()
    code = "import fcntl, sys; f = open(sys.argv[1], 'a'); fcntl.flock(f, 2); print('held', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(folder / "key-1.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "held\n"
    yield other
    other.kill()
    other.communicate()


class TestSubmit:
    def test_the_preview_is_finished_and_cost_nothing(self, backend, tmp_path):
        accepted = backend.submit(wanted(), key="key-1")

        assert accepted.vendor_id == "key-1"
        assert accepted.state == backend.poll("key-1") == JobState(state="succeeded", progress=1.0, charged=0, money_moved="no")
        backend.fetch("key-1", tmp_path / "take.mp4")
        assert measure(tmp_path / "take.mp4").frames == 24

    def test_the_same_key_is_drawn_once(self, backend, folder):
        first = backend.submit(wanted(), key="key-1")
        drawn = (folder / "key-1.mp4").stat()

        again = backend.submit(wanted(), key="key-1")

        assert again == first
        assert (folder / "key-1.mp4").stat().st_mtime_ns == drawn.st_mtime_ns

    def test_a_key_that_another_process_draws_is_not_drawn_twice(self, backend, held):
        with pytest.raises(SubmitAmbiguous, match="being drawn"):
            backend.submit(wanted(), key="key-1")

    def test_what_a_killed_process_left_behind_is_drawn_over(self, backend, folder):
        folder.mkdir()
        (folder / "key-1.part").write_bytes(b"half a film")
        (folder / "key-1.lock").touch()

        backend.submit(wanted(), key="key-1")

        assert measure(folder / "key-1.mp4").readable
        assert not (folder / "key-1.part").exists()

    @pytest.mark.parametrize("key", ["", "../x", "a/b", "A", "a.b", "a\n"])
    def test_a_key_that_is_no_file_name_is_refused(self, backend, key):
        for asked in (lambda: backend.submit(wanted(), key=key), lambda: backend.poll(key)):
            with pytest.raises(SubmitRejected, match="not a key"):
                asked()

    @pytest.mark.parametrize("wrong", [{"width": 321}, {"height": 62}, {"fps": 0}, {"seconds": 0.01}])
    def test_a_picture_that_cannot_be_encoded_is_refused_before_money_is_set_aside(self, backend, wrong):
        with pytest.raises(SubmitRejected) as refused:
            backend.validate(wanted(**wrong))
        assert refused.value.kind == FailureKind.INVALID_INPUT

    def test_a_folder_that_cannot_be_written_is_a_refusal_that_names_it(self, backend, folder):
        folder.write_text("a file where the folder should be")
        with pytest.raises(SubmitRejected, match="AIPROD_VAR_DIR"):
            backend.submit(wanted(), key="key-1")

    def test_a_drawing_that_fails_leaves_nothing_and_can_be_tried_again(self, backend, folder, monkeypatch):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("aiprod.backends.animatic.shoot", full)
        with pytest.raises(SubmitRejected, match="No space left"):
            backend.submit(wanted(), key="key-1")
        assert backend.find(wanted(), key="key-1", since=NOW) == Found(proof=True)


class TestFind:
    def test_a_finished_preview_is_found(self, backend):
        backend.submit(wanted(), key="key-1")
        assert backend.find(wanted(), key="key-1", since=NOW) == Found(vendor_ids=("key-1",))

    def test_no_file_and_nobody_drawing_is_proof(self, backend):
        assert backend.find(wanted(), key="key-1", since=NOW) == Found(proof=True)

    def test_a_living_process_that_draws_is_no_proof_and_a_dead_one_is(self, backend, held):
        assert backend.find(wanted(), key="key-1", since=NOW) == Found(proof=False)
        assert backend.poll("key-1").state == "running"

        held.kill()
        held.wait()
        assert backend.find(wanted(), key="key-1", since=NOW) == Found(proof=True)

    def test_looking_does_not_keep_the_lock(self, backend, folder):
        backend.find(wanted(), key="key-1", since=NOW)
        with (folder / "key-1.lock").open("a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


class TestGone:
    def test_what_was_never_drawn_is_gone(self, backend, tmp_path):
        for asked in (lambda: backend.poll("key-1"), lambda: backend.fetch("key-1", tmp_path / "x.mp4")):
            with pytest.raises(BackendError) as gone:
                asked()
            assert (gone.value.kind, gone.value.money_moved) == (FailureKind.GONE, "no")

    def test_it_cannot_be_stopped_because_it_is_already_finished(self, backend):
        assert backend.cancel("key-1").stopped == "no"


class TestFilm:
    @pytest.mark.parametrize("size", [(320, 180), (426, 240), (240, 240)])
    def test_the_same_request_is_the_same_file_and_another_seed_is_not(self, backend, folder, size):
        for key, seed in (("a", 1), ("b", 1), ("c", 2)):
            backend.submit(wanted(seed=seed, width=size[0], height=size[1]), key=key)
            # Used memory is not empty: an encoder that reads what it never wrote shows itself.
            used = [np.full(100_000 * n, 5 + 17 * ord(key) % 200, np.uint8) for n in range(1, 30)]
            del used
        one, same, other = ((folder / f"{key}.mp4").read_bytes() for key in "abc")
        assert one == same != other

    def test_the_file_is_what_was_ordered(self, backend, folder):
        backend.submit(wanted(seconds=1.5, width=180, height=320, fps=30), key="a")

        data = (folder / "a.mp4").read_bytes()
        assert data.index(b"moov") < data.index(b"mdat")
        with av.open(str(folder / "a.mp4")) as film:
            video, audio = film.streams.video[0], film.streams.audio[0]
            codec = video.codec_context
            assert (video.frames, video.average_rate, codec.width, codec.height, codec.pix_fmt) == (45, 30, 180, 320, "yuv420p")
            assert (codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range) == (1, 1, 1, 1)
            assert (audio.codec_context.name, audio.rate, audio.layout.name) == ("aac", 48_000, "stereo")
            assert film.metadata["comment"] == "generator=aiprod animatic; ai_generated=false"

    def test_without_sound_there_is_no_sound_stream(self, backend, folder):
        backend.submit(wanted(audio=False), key="a")
        assert not measure(folder / "a.mp4").has_audio

    @pytest.mark.parametrize(
        ("prompt", "seconds", "size", "fps"),
        [
            ("Aerial shot over a misty ocean at golden sunset", 3, (426, 240), 24),
            ("A pitch black night, tripod, static", 12, (320, 180), 24),
            ("White product in a white studio, locked", 12, (180, 320), 30),
            ("Neon city street, tracking left", 2, (240, 240), 24),
            ("Space, galaxy", 1, (320, 240), 16),
            ("Pine forest, tilt up", 20, (320, 180), 24),
            ("夜の東京 🎬 Żółć \x00\x07 " + "word" * 400, 1.04, (240, 320), 24),
            ("\ud800", 1, (64, 64), 24),
        ],
    )
    def test_a_preview_passes_our_own_check(self, backend, folder, prompt, seconds, size, fps):
        prompt = prompt.encode("utf-8", "replace").decode()
        backend.submit(wanted(prompt, seconds=seconds, width=size[0], height=size[1], fps=fps), key="a")

        seen = measure(folder / "a.mp4")

        assert seen.frames == round(seconds * fps)
        ordered = Expected(seconds=seconds, fps=fps, width=size[0], height=size[1], audio=True)
        assert not {"veto", "major"} & {finding.severity for finding in judge(seen, ordered, catalog().quality)}
