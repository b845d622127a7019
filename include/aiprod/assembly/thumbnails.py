"""A few kilobytes of a picture, for lists."""

from __future__ import annotations

from pathlib import Path

import cv2

from aiprod.errors import StorageError

__all__ = ["thumbnail"]

#: Of 100: nobody looks closely.
_QUALITY = 60


def thumbnail(picture: Path, *, side: int) -> bytes:
    """Return a picture as a WebP, its longer side at most `side` pixels.

    Raises `StorageError` when it is no picture.
    """
    image = cv2.imread(str(picture), cv2.IMREAD_COLOR)
    if image is None:
        raise StorageError(f"{picture} is no picture that can be read")
    high, wide = image.shape[:2]
    scale = min(1.0, side / max(high, wide))
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    fine, data = cv2.imencode(
        ".webp", cv2.resize(image, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_WEBP_QUALITY, _QUALITY]
    )
    if not fine:
        raise StorageError(f"{picture} could not be encoded as WebP")
    return data.tobytes()
