"""A browser at the studio: who looks, in what light and on what screen, and what its console complained about."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

__all__ = ["PATIENCE", "Studio", "chromium_program", "kept_out", "played", "swaps"]

#: Milliseconds, on a busy machine of two cores.
PATIENCE = 20_000

_AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text()

_INSTALL = "the browser tests need Chromium: `apt-get install chromium fonts-dejavu-core`"

_PLAYED = """(video, [past, patience]) => new Promise((played, failed) => {
  setTimeout(() => failed(new Error(`it stands at ${video.currentTime} of ${video.duration}`)), patience);
  const look = () => video.currentTime > past && !video.paused && played(video.currentTime);
  video.muted = true;
  video.addEventListener("timeupdate", look);
  video.play();
})"""


@dataclass
class Studio:
    """A served studio and a browser; `token` logs somebody in, `troubles` are what the console of our own pages said."""

    url: str
    browser: Any
    token: Callable[[str, str], str]
    troubles: list[str] = field(default_factory=list)

    def page(self, name: str = "bob", role: str = "user", *, dark: bool = False, phone: bool = False) -> Any:
        """A window of somebody who is logged in."""
        size = {"width": 390, "height": 844} if phone else {"width": 1360, "height": 900}
        context = self.browser.new_context(
            viewport=size, color_scheme="dark" if dark else "light", locale="en-GB", timezone_id="Europe/Berlin"
        )
        page = context.new_page()
        self.log_in(page, self.token(name, role))
        page.set_default_timeout(PATIENCE)
        page.on("console", lambda said: said.type == "error" and self._heard(page, said.text, said.location.get("url", "")))
        page.on("pageerror", lambda error: self._heard(page, str(error), error.stack or ""))
        return page

    def log_in(self, page: Any, token: str) -> None:
        page.context.add_cookies([{"name": "_token", "value": token, "url": self.url}])

    def at(self, path: str = "") -> str:
        return f"{self.url}/aiprod/studio{path}"

    def forgive(self, words: str) -> None:
        """Forget the complaints that a test brings about. Fails where there is none: then the test did not."""
        kept = [trouble for trouble in self.troubles if not re.search(words, trouble)]
        assert len(kept) < len(self.troubles), f"the console never spoke of {words}"
        self.troubles[:] = kept

    def close(self) -> None:
        for context in self.browser.contexts:
            context.close()

    def _heard(self, page: Any, said: str, where: str) -> None:
        # Airflow's own pages, around ours, complain about what is theirs.
        if "/aiprod/" in f"{page.url} {where} {said}":
            self.troubles.append(f"{said} ({where})")


def chromium_program(environ: Mapping[str, str] = os.environ) -> str:
    """Return where Chromium is. One that is missing is an error where everything has to be there, elsewhere a skip."""
    where = shutil.which("chromium", path=environ.get("PATH"))
    if where is not None and find_spec("playwright") is not None:
        return where
    if environ.get("CI"):
        pytest.fail(_INSTALL)
    pytest.skip(_INSTALL)


def played(video: Any, *, past: float = 0.2) -> float:
    """Play a video until it has passed a second, and return where it is; fails when it does not get there."""
    # Through its locator: the page's policy lets nobody evaluate strings in it.
    return float(video.evaluate(_PLAYED, [past, PATIENCE]))


def kept_out(page: Any) -> list[str]:
    """What keeps people out, as axe-core finds it: serious and critical only."""
    page.evaluate(_AXE)
    said = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{v['id']} {v['nodes'][0]['target']}" for v in said["violations"] if v["impact"] in ("serious", "critical")]


def swaps(page: Any) -> Callable[[], int]:
    """Count the parts of a page that htmx puts in from now on; what is returned tells how many."""
    page.evaluate("""() => {
      document.documentElement.dataset.swaps = 0;
      document.addEventListener("htmx:afterSwap", () => { document.documentElement.dataset.swaps++; });
    }""")
    return lambda: int(page.locator("html").get_attribute("data-swaps"))
