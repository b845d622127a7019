"""A render's file as it comes over the wire: whole, or damaged as ordered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat

from aiprod.emulators.film import Studio, corrupted, printed
from aiprod.emulators.house import House, Refused
from aiprod.emulators.renders import Render
from aiprod.emulators.wire import Answer

__all__ = ["content", "served"]

_PAGE = b"<!doctype html><html><head><title>Sign in</title></head><body><p>Please sign in to continue.</p></body></html>\n" * 20
#: Orders that change what the file is, and orders that change how it comes.
_OTHER = ("html", "corrupt", "truncated", "brief", "still")
_WAYS = ("redirect", "endless", "trickle", "cutoff")


def content(house: House, studio: Studio, render: Render, *, mark: str = "") -> bytes:
    """Return the bytes of a render's file: its own film, or what was ordered in its place."""
    film, order = render.wanted.film, render.order
    if film is None:
        raise Refused(404, "there is no film", reason="absent")
    for word in _OTHER:
        if word in order:
            house.deal(render.backend, word, render, once=True)
    if "html" in order:
        return _PAGE
    if "brief" in order:
        film = replace(film, seconds=film.seconds / 2)
    whole = studio.film(replace(film, still="still" in order))
    if "corrupt" in order:
        whole = corrupted(whole)
    whole = printed(whole, f"{render.backend} {render.id}{mark}")
    return whole[: len(whole) // 2] if "truncated" in order else whole


def served(house: House, studio: Studio, render: Render, *, mark: str = "") -> Answer:
    """Return the answer to whoever fetches a render's file. Raises `Refused`."""
    order = render.order
    if house.count(render, "fetched") == 1 and "gone" in order:
        house.deal(render.backend, "gone", render)
        raise Refused(503, "the file is not there just now")
    for word in _WAYS:
        if word in order:
            house.deal(render.backend, word, render, once=True)
    if "redirect" in order:
        return Answer(302, b"", {"Location": order["redirect"]})
    film = content(house, studio, render, mark=mark)
    kind = {"Content-Type": "text/html; charset=utf-8" if "html" in order else "video/mp4"}
    if "endless" in order:
        return Answer(200, headers=kind, pour=lambda: _endless(film))
    if "trickle" in order:
        return Answer(200, headers=kind, pour=lambda: _trickle(house, film), length=len(film))
    if "cutoff" in order:
        return Answer(200, headers=kind, pour=lambda: iter([film[: len(film) // 2]]), length=len(film))
    return Answer(200, film, kind)


def _endless(film: bytes) -> Iterator[bytes]:
    yield film
    yield from repeat(bytes(65_536))


def _trickle(house: House, film: bytes) -> Iterator[bytes]:
    for n in range(len(film)):
        yield film[n : n + 1]
        if house.pause(1.0):
            return
