"""A file comes home whole or not at all, and what is not a video never passes as one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from aiprod.backends.download import IMAGE, VIDEO, download, image, image_type, must_be_video
from aiprod.errors import BackendError, FailureKind, SubmitRejected
from tests.aiprod.qa.specimens import moving, tone, write
from tests.web import World, answer

CDN = "https://cdn.example/take.mp4?signature=SECRET-CANARY"
PNG, JPEG, WEBP = b"\x89PNG\r\n\x1a\n...", b"\xff\xd8\xff\xe0...", b"RIFF....WEBPVP8 ..."


def refused(call: Callable[[], object]) -> BackendError:
    with pytest.raises(BackendError) as raised:
        call()
    assert str(raised.value).startswith("replicate p1: ")
    assert "SECRET-CANARY" not in f"{raised.value!r} {raised.value.__cause__!r}"
    return raised.value


# --- bringing it home -----------------------------------------------------------------------------------


def test_what_is_at_an_address_is_written_whole(tmp_path: Path) -> None:
    into = tmp_path / "take.mp4"
    into.write_bytes(b"an older try")
    world = World.of(answer(200, b"film" * 50_000))
    download(CDN, into, what="replicate p1", headers={"Authorization": "Bearer x"}, network=world.network)
    assert into.read_bytes() == b"film" * 50_000
    assert b"\r\nAuthorization: Bearer x\r\n" in world.wires[0].sent
    assert [path.name for path in tmp_path.iterdir()] == ["take.mp4"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(404), FailureKind.GONE),
        (answer(503), FailureKind.TRANSIENT),
        (answer(200, b"half", content_length="8"), FailureKind.TRANSIENT),
        (answer(302, location="https://169.254.169.254/"), FailureKind.INVALID_INPUT),
    ],
    ids=["gone", "busy", "torn", "evil"],
)
def test_nothing_is_left_of_a_file_that_did_not_come(tmp_path: Path, said: list[bytes], kind: FailureKind) -> None:
    world = World.of(said)
    error = refused(lambda: download(CDN, tmp_path / "take.mp4", what="replicate p1", network=world.network))
    assert (error.kind, error.money_moved) == (kind, "yes")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_nothing_is_an_error_of_ours(tmp_path: Path) -> None:
    world = World.of(answer(200, b"film"))
    error = refused(lambda: download(CDN, tmp_path / "none" / "take.mp4", what="replicate p1", network=world.network))
    assert (error.kind, error.money_moved) == (FailureKind.TRANSIENT, "yes")
    assert world.reached == [] or "cannot be written" in str(error)


def test_a_film_that_cannot_be_written_to_its_end_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    world = World.of(answer(200, b"film"))
    error = refused(lambda: download(CDN, tmp_path / "take.mp4", what="replicate p1", network=world.network))
    assert "No space left on device" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_the_limits_are_those_that_were_promised() -> None:
    assert (VIDEO.bytes, IMAGE.bytes) == (512 * 1024 * 1024, 20 * 1024 * 1024)


# --- reference images -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "kind"), [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")])
def test_a_reference_image_comes_as_it_is_and_is_known_by_its_first_bytes(data: bytes, kind: str) -> None:
    world = World.of(answer(200, data, content_type="text/html"))
    assert image(CDN, what="replicate p1", network=world.network) == data
    assert image_type(data) == kind


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(200, b"<svg onload=...>", content_type="image/png"), FailureKind.INVALID_INPUT),
        (answer(200, b""), FailureKind.INVALID_INPUT),
        (answer(404), FailureKind.INVALID_INPUT),
        (answer(401), FailureKind.INVALID_INPUT),
        (answer(302, location="https://127.0.0.1/"), FailureKind.INVALID_INPUT),
        (answer(500), FailureKind.TRANSIENT),
    ],
    ids=["svg", "empty", "gone", "locked", "evil", "busy"],
)
def test_without_a_good_image_nothing_is_bought(said: list[bytes], kind: FailureKind) -> None:
    world = World.of(said)
    error = refused(lambda: image(CDN, what="replicate p1", network=world.network))
    assert isinstance(error, SubmitRejected)
    assert (error.kind, error.money_moved) == (kind, "no")


# --- is it a video --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good videos of the kinds that vendors send, two seconds each."""
    folder = tmp_path_factory.mktemp("films")
    write(folder / "plain.mp4", moving(48), tone(2))
    write(folder / "fast.mp4", moving(48), tone(2), options={"movflags": "faststart"})
    write(folder / "mute.mp4", moving(48), options={"movflags": "faststart"})
    write(folder / "pieces.mp4", moving(48), tone(2), options={"movflags": "frag_keyframe+empty_moov"})
    write(folder / "apple.mov", moving(48), tone(2))
    write(folder / "web.webm", moving(48), tone(2), codec="libvpx")
    # The sound goes on when the picture has ended.
    write(folder / "long_sound.mp4", moving(24), tone(2))
    write(folder / "sound.mp4", [], tone(1))
    write(folder / "pixels.mp4", moving(3, 128, 64))
    return folder


GOOD = ["plain.mp4", "fast.mp4", "mute.mp4", "pieces.mp4", "apple.mov", "web.webm", "long_sound.mp4", "pixels.mp4"]


@pytest.mark.parametrize("name", GOOD)
def test_a_video_passes_and_stays_as_it_is(films: Path, name: str) -> None:
    before = (films / name).read_bytes()
    must_be_video(films / name, "replicate p1")
    assert (films / name).read_bytes() == before


def must_not_pass(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    error = refused(lambda: must_be_video(path, "replicate p1"))
    assert (error.kind, error.money_moved) == (FailureKind.VENDOR_INTERNAL, "yes")
    assert not path.exists()
    return str(error)


#: Named like a film, and something else. Playlists and scripts name other files, which FFmpeg would open.
OTHERS = {
    "nothing": b"",
    "a page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "an error": b'{"detail": "not found"}',
    "a playlist": b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    "a list": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "a description": b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 1 RTP/AVP 96\n",
    "a dash": b'<?xml version="1.0"?><MPD><BaseURL>http://127.0.0.1/</BaseURL></MPD>',
    "a picture": b"\x89PNG\r\n\x1a\n" + b"\0" * 100,
    "a cartoon": b"GIF89a" + b"\0" * 100,
    "a beginning": b"\0\0\0\x20ftypisom\0\0\x02\0",
    "zeros": b"\0" * 4096,
    "webm noise": b"\x1a\x45\xdf\xa3" + b"\x42" * 4096,
    "mp4 noise": b"\0\0\x10\0ftyp" + bytes(range(256)) * 16,
    "a playlist in disguise": b"\0\0\0\x08ftyp#EXTM3U\nfile:///etc/passwd\n",
}


@pytest.mark.parametrize("data", OTHERS.values(), ids=OTHERS.keys())
def test_anything_else_is_no_take_and_is_removed(tmp_path: Path, data: bytes) -> None:
    must_not_pass(tmp_path / "take.mp4", data)


@pytest.mark.parametrize("name", [name for name in GOOD if name != "pixels.mp4"])
@pytest.mark.parametrize("part", [0.6, 0.3, 0.05])
def test_a_video_cut_short_is_no_take(films: Path, tmp_path: Path, name: str, part: float) -> None:
    data = (films / name).read_bytes()
    must_not_pass(tmp_path / "take.mp4", data[: int(len(data) * part)])


def test_sound_alone_is_no_take(films: Path, tmp_path: Path) -> None:
    assert "no picture" in must_not_pass(tmp_path / "take.mp4", (films / "sound.mp4").read_bytes())


def test_a_picture_that_nobody_can_decode_is_no_take(films: Path, tmp_path: Path) -> None:
    data = (films / "mute.mp4").read_bytes()
    at = data.index(b"mdat") + 4
    must_not_pass(tmp_path / "take.mp4", data[:at] + b"\0" * (len(data) - at))


def test_a_picture_larger_than_we_decode_is_no_take(tmp_path: Path) -> None:
    data = write(tmp_path / "small.webm", moving(1, 304, 304), codec="libvpx").read_bytes()
    # PixelWidth and PixelHeight as the header gives them, two bytes each.
    for name in (b"\xb0\x82", b"\xba\x82"):
        assert data.count(name + b"\x01\x30") == 1
        data = data.replace(name + b"\x01\x30", name + b"\x1f\xff")
    assert "8191x8191" in must_not_pass(tmp_path / "take.webm", data)
