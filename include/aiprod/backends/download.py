"""Files from vendors: whole or not there, and checked to be what they should be."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from aiprod.backends.reaching import INTERNET, Limits, Network, Trouble, body
from aiprod.errors import BackendError, FailureKind, SubmitRejected

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["IMAGE", "VIDEO", "download", "image", "image_type", "must_be_video"]

_MIB = 1 << 20
VIDEO = Limits(bytes=512 * _MIB, seconds=900)
IMAGE = Limits(bytes=20 * _MIB, seconds=60)
_IMAGES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
#: What a file of the MP4 family may begin with, after a length of four bytes; and how a Matroska one begins.
_MP4 = frozenset((b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"free", b"skip", b"wide"))
_MATROSKA = b"\x1a\x45\xdf\xa3"
#: Bounds against hostile files, pixels of a picture and packets; and the seconds that may be missing at the end.
_MAX_PIXELS, _MAX_PACKETS, _MISSING = 36_000_000, 500_000, 0.5


def download(
    url: str,
    into: Path,
    *,
    what: str,
    own: Collection[str] = (),
    headers: Mapping[str, str] | None = None,
    limits: Limits = VIDEO,
    network: Network = INTERNET,
) -> None:
    """Write what is at `url` to `into`: whole, or not at all. `what` begins every message.

    `own` are origins (`scheme://host:port`) that the operator configured: only they may be http or not public, and only
    until a redirect leads elsewhere. `headers` go to the origin of `url` and to no other.
    Raises `BackendError`, money moved: `gone` when the host has no such file (any more), `transient` when trying again
    may help, `invalid_input` for an address nobody may be sent to, `vendor_internal` for an answer that is no file.
    """
    try:
        with closing(body(url, own=own, headers=headers or {}, limits=limits, network=network)) as chunks:
            _keep(chunks, into)
    except Trouble as trouble:
        raise BackendError(f"{what}: {trouble}", kind=trouble.kind, money_moved="yes") from None
    except OSError as error:
        message = f"{what}: cannot be written to {into.parent} ({error.strerror})"
        raise BackendError(message, kind=FailureKind.TRANSIENT, money_moved="yes") from error


def image(url: str, *, what: str, own: Collection[str] = (), limits: Limits = IMAGE, network: Network = INTERNET) -> bytes:
    """Return a reference image (PNG, JPEG or WebP) as it is at `url`, for vendors that want bytes.

    Raises `SubmitRejected`: nothing was bought yet.
    """
    try:
        with closing(body(url, own=own, headers={}, limits=limits, network=network)) as chunks:
            data = b"".join(chunks)
    except Trouble as trouble:
        kind = trouble.kind if trouble.kind is FailureKind.TRANSIENT else FailureKind.INVALID_INPUT
        raise SubmitRejected(f"{what}: reference image: {trouble}", kind=kind) from None
    if not image_type(data):
        message = f"{what}: what is at the reference image's address is no PNG, JPEG or WebP"
        raise SubmitRejected(message, kind=FailureKind.INVALID_INPUT)
    return data


def image_type(data: bytes) -> str:
    """Return the media type that the first bytes of an image show, or an empty string for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _IMAGES.items() if data.startswith(magic)), "")


def _keep(chunks: Iterable[bytes], into: Path) -> None:
    """Write beside the target, sync, and move into place."""
    handle, name = tempfile.mkstemp(prefix=".download-", dir=into.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, into)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def must_be_video(path: Path, what: str) -> None:
    """Raise `BackendError` (`vendor_internal`, money moved) and remove the file, unless it is a video that can be shown.

    MP4 or WebM by its first bytes and as nothing else, whole as far as its index tells, with a picture that decodes.
    How good it is, is measured later.
    """
    problem = _no_video(path)
    if problem:
        path.unlink(missing_ok=True)
        message = f"{what}: what the vendor sent is not a video: {problem}"
        raise BackendError(message, kind=FailureKind.VENDOR_INTERNAL, money_moved="yes")


def _no_video(path: Path) -> str:
    """What keeps a file from being a video, or an empty string."""
    # Here and not above: whoever only asks how a render is doing need not load FFmpeg.
    import av
    from av.error import FFmpegError

    with path.open("rb") as stream:
        head = stream.read(16)
    form = "mp4" if head[4:8] in _MP4 else "webm" if head.startswith(_MATROSKA) else ""
    if not form:
        return f"it begins with {head!r}" if head else "it is empty"
    # The format is forced: FFmpeg knows playlists and scripts too, and those name other files.
    options = {"protocol_whitelist": "file", "max_streams": "32"}
    try:
        with av.open(str(path.resolve()), format=form, options=options, metadata_errors="replace") as film:
            return _unwatchable(film)
    except (FFmpegError, ValueError, OverflowError, MemoryError) as error:
        return f"it cannot be read as {form} ({type(error).__name__})"


def _unwatchable(film: InputContainer) -> str:
    """Decode the first picture, then read on to the end without decoding."""
    from av.error import FFmpegError
    from av.stream import Disposition

    # A stream in a codec that FFmpeg does not know has no codec context; a cover picture is no video.
    known = [stream for stream in film.streams.video if stream.codec_context is not None]
    videos = [stream for stream in known if not stream.disposition & Disposition.attached_pic]
    if not videos:
        return "it has no picture"
    codec = videos[0].codec_context
    if not 0 < codec.width * codec.height <= _MAX_PIXELS:
        return f"a picture of {codec.width}x{codec.height} is not decoded"
    codec.options, codec.thread_count = {"max_pixels": str(_MAX_PIXELS)}, 1
    shown, reached = False, 0.0
    for packet in islice(film.demux(), _MAX_PACKETS):
        if packet.is_corrupt:
            return f"it breaks off after {reached:.1f} s"
        if packet.pts is not None and packet.time_base is not None:
            reached = max(reached, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if not shown and packet.stream is videos[0]:
            # A damaged beginning is for the technical check to judge, as long as anything can be shown.
            with suppress(FFmpegError):
                shown = bool(packet.decode())
    if not shown:
        return "no picture can be decoded"
    length = (film.duration or 0) / 1_000_000
    return f"it breaks off after {reached:.1f} of {length:.1f} s" if reached < length - _MISSING else ""
