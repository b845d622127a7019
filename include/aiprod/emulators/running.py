"""The vendors, up and running: in a thread of a test, or in a process of their own beside a script."""

from __future__ import annotations

import contextlib
import http.client
import json
import shlex
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, replace
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiprod.emulators.books import Books
from aiprod.emulators.film import Studio
from aiprod.emulators.gcs import BUCKET, Gcs
from aiprod.emulators.gemini import Gemini
from aiprod.emulators.google_access import PROJECT, GoogleAccess, write_key_file
from aiprod.emulators.house import House, Terms
from aiprod.emulators.replicate import Replicate
from aiprod.emulators.runway import Runway
from aiprod.emulators.vendor import VendorServer
from aiprod.emulators.vertex import Vertex

__all__ = ["KEYS", "Emulators", "Vendors", "environment", "exports", "judging"]

#: What each vendor wants as a key when nobody says.
KEYS: Mapping[str, str] = {name: f"emulated-{name}" for name in ("runway", "veo3", "replicate", "gemini")}
_ANSWERS_WITHIN = 30.0


def environment(origin: str, key_file: Path, keys: Mapping[str, str] = KEYS) -> dict[str, str]:
    """Return the environment in which AIPROD buys from vendors at an origin."""
    return {
        "RUNWAYML_API_SECRET": keys["runway"],
        "RUNWAYML_BASE_URL": origin,
        "REPLICATE_API_TOKEN": keys["replicate"],
        "REPLICATE_BASE_URL": origin,
        "GCP_PROJECT_ID": PROJECT,
        "GOOGLE_CLOUD_LOCATION": "us-central1",
        "GOOGLE_VERTEX_BASE_URL": origin,
        "STORAGE_EMULATOR_HOST": origin,
        "AIPROD_VEO3_BUCKET": f"gs://{BUCKET}/veo3",
        "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
    }


def judging(origin: str, keys: Mapping[str, str] = KEYS) -> dict[str, str]:
    """Return what is set besides so that takes are judged, and judging is paid, at an origin."""
    return {"GEMINI_API_KEY": keys["gemini"], "GEMINI_BASE_URL": origin}


def exports(variables: Mapping[str, str]) -> str:
    """Return an environment as a shell takes it."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables.items())


def opened(port: int, house: House, studio: Studio, keys: Mapping[str, str] = KEYS, *, listen: str = "127.0.0.1") -> VendorServer:
    """Return all vendors on one port, of loopback unless told otherwise; nobody is served yet."""
    access = GoogleAccess(house, studio, keys["veo3"])
    google = (access, Vertex(house, studio, access), Gcs(house, studio, access))
    others = (Runway(house, studio, keys["runway"]), Replicate(house, studio, keys["replicate"]))
    judge = Gemini(house, studio, keys["gemini"], access)
    return VendorServer(port, house, (*google, *others, judge), listen=listen)


class _Running(ABC):
    """What somebody who runs vendors may ask of them, however they are run."""

    def __init__(self, folder: Path, terms: Terms, keys: Mapping[str, str]) -> None:
        self.folder = folder
        self.books = folder / "books.jsonl"
        self._terms = terms
        self._keys = {**KEYS, **keys}
        self.url = ""

    @property
    @abstractmethod
    def environment(self) -> dict[str, str]:
        """What to set so that AIPROD buys here; nothing is set by itself."""

    @property
    def judging(self) -> dict[str, str]:
        """What to set besides so that takes are judged here."""
        return judging(self.url, self._keys)

    @abstractmethod
    def rule(self, backend: str, words: str) -> None:
        """Order the same for every request to a backend; no words: nothing. See `aiprod.emulators.orders`."""

    @abstractmethod
    def _agree(self, terms: Terms) -> None: ...

    def key(self, backend: str) -> str:
        """The key that a backend wants."""
        return self._keys[backend]

    def terms(self, **changes: Any) -> None:
        """Change some of the terms: `prices`, `listing_lag`, `seconds_per_render`, `credit`."""
        self._terms = replace(self._terms, **changes)
        self._agree(self._terms)

    def advance(self, seconds: float) -> None:
        """Set the vendors' clock ahead."""
        self.terms(ahead=self._terms.ahead + seconds)

    def events(self) -> list[dict[str, Any]]:
        """Every line of the vendors' books."""
        return Books.read(self.books)[0]

    def accepts(self, backend: str | None = None) -> list[dict[str, Any]]:
        """Every accept: what was bought, with `billable_micros` as billed by now. The ground truth."""
        found: dict[str, dict[str, Any]] = {}
        for line in self.events():
            if line["event"] == "accept" and backend in (None, line["backend"]):
                found[line["id"]] = line
            elif line["event"] == "cancel" and line["id"] in found:
                found[line["id"]]["billable_micros"] = line["billable_micros"]
        return list(found.values())

    def faults(self, backend: str | None = None) -> list[str]:
        """The words of every fault that was dealt, in order."""
        return [e["word"] for e in self.events() if e["event"] == "fault" and backend in (None, e["backend"])]


class Vendors(_Running):
    """In a thread of this process. `with Vendors(folder) as vendors: …`"""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        rules: Mapping[str, str] | None = None,
        keys: Mapping[str, str] | None = None,
        studio: Studio | None = None,
        **terms: Any,
    ) -> None:
        super().__init__(folder, Terms(**terms), keys or {})
        self._books = Books(self.books)
        self._house = House(self._books, self._terms, rules)
        self._server = opened(port, self._house, studio or Studio(folder / "films"), self._keys)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def environment(self) -> dict[str, str]:
        file = self.folder / "service-account.json"
        if not file.exists():
            write_key_file(file, self.url)
        return environment(self.url, file, self._keys)

    def rule(self, backend: str, words: str) -> None:
        self._house.rule(backend, words)

    def _agree(self, terms: Terms) -> None:
        self._house.agree(terms)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Emulators(_Running):
    """In a process of their own that ends with this one. `with Emulators(folder) as vendors: …`"""

    def __init__(
        self,
        folder: Path,
        *,
        port: int = 0,
        rules: Mapping[str, str] | None = None,
        keys: Mapping[str, str] | None = None,
        **terms: Any,
    ) -> None:
        super().__init__(folder, Terms(**terms), keys or {})
        self._asked = [f"--port={port}", f"--folder={folder}", f"--books={self.books}", "--leash"]
        self._asked += [f"--rule={backend}={words}" for backend, words in (rules or {}).items()]
        self._asked += [f"--key={backend}={key}" for backend, key in self._keys.items()]
        self._process: subprocess.Popen[str] | None = None

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.url, self.folder / "service-account.json", self._keys)

    def rule(self, backend: str, words: str) -> None:
        self._put("/rules", {backend: words})

    def _agree(self, terms: Terms) -> None:
        self._put("/terms?at-once", asdict(terms))

    def _put(self, path: str, body: Mapping[str, Any]) -> None:
        wire = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=_ANSWERS_WITHIN)
        with contextlib.closing(wire):
            wire.request("PUT", path, json.dumps(body))
            answer = wire.getresponse()
            said = answer.read().decode()
        if answer.status != 200:
            raise ValueError(f"the vendors refuse {path}: {said}")

    def __enter__(self) -> Self:
        # With this process's import path, however it got it.
        begin = f"import sys; sys.path[:] = {sys.path!r}; from aiprod.emulators.__main__ import main; main()"
        command = [sys.executable, "-c", begin, *self._asked]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        watchdog = threading.Timer(_ANSWERS_WITHIN, self._process.kill)
        watchdog.start()
        try:
            assert self._process.stdout is not None  # noqa: S101 - a pipe was asked for
            # They say where they are, what to export, and then nothing.
            lines = list(takewhile(str.strip, self._process.stdout))
        finally:
            watchdog.cancel()
        if not lines:
            self.__exit__(None, None, None)
            raise RuntimeError("the vendors did not start; why is on standard error")
        self.url = lines[0].split()[-1]
        self._agree(self._terms)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    pipe.close()
