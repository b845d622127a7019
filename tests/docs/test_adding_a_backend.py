"""The worked example works: what the page says is taken from the page and run."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from aiprod.backends.base import Backend
from aiprod.catalog import BackendEntry, Price
from aiprod.errors import BackendError, FailureKind, SubmitAmbiguous, SubmitRejected
from tests.desk import request

PAGE = (Path(__file__).parents[2] / "docs" / "adding-a-backend.md").read_text(encoding="utf-8")


class Lumen(BaseHTTPRequestHandler):
    """The vendor that does not exist."""

    made: list[dict[str, Any]]
    answer_with: int

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).made.append({"id": f"v{len(self.made)}", "note": body["note"], "status": "done", "seconds": body["seconds"]})
        self._say(type(self).answer_with, self.made[-1])

    def do_GET(self) -> None:
        known = {row["id"]: row for row in self.made}
        vendor_id = self.path.rpartition("/")[2]
        listed = self.path.startswith("/v1/videos?")
        self._say(200, {"videos": self.made}) if listed else self._say(
            200 if vendor_id in known else 404, known.get(vendor_id, {})
        )

    def _say(self, status: int, said: object) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def lumen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    Lumen.made, Lumen.answer_with = [], 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Lumen)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setenv("LUMEN_API_KEY", "secret")
    monkeypatch.setenv("LUMEN_BASE_URL", f"http://127.0.0.1:{server.server_address[1]}")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    module = ModuleType("lumen")
    monkeypatch.setitem(sys.modules, "lumen", module)
    exec(compile(code, "docs/adding-a-backend.md", "exec"), module.__dict__)  # noqa: S102 - the page is ours
    yield module.__dict__["LumenBackend"]("lumen", BackendEntry.model_validate(entries()["lumen"]))
    server.shutdown()
    server.server_close()


def entries() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[0])["backends"]
    return found


def test_the_entry_and_the_price_are_ones_the_catalogue_takes() -> None:
    assert BackendEntry.model_validate(entries()["lumen"]).deadline == 900
    (row,) = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[1])
    assert Price.model_validate(row).model == "lumen-2"


def test_what_it_sends_is_asked_after_and_found(lumen: Backend) -> None:
    accepted = lumen.submit(request(backend="lumen", model="lumen-2"), key="k1")
    assert lumen.poll(accepted.vendor_id).state == "succeeded"
    assert lumen.find(request(), key="k1", since=datetime(2026, 1, 1, tzinfo=UTC)).vendor_ids == (accepted.vendor_id,)
    assert len(Lumen.made) == 1


@pytest.mark.parametrize(("status", "outcome"), [(429, SubmitRejected), (422, SubmitRejected), (500, SubmitAmbiguous)])
def test_every_answer_is_one_of_three_outcomes(lumen: Backend, status: int, outcome: type[Exception]) -> None:
    Lumen.answer_with = status
    with pytest.raises(outcome):
        lumen.submit(request(backend="lumen", model="lumen-2"), key="k1")


def test_an_unknown_render_and_an_unknown_word_are_errors_of_ours(lumen: Backend) -> None:
    with pytest.raises(BackendError) as gone:
        lumen.poll("nobody")
    assert gone.value.kind is FailureKind.GONE
    Lumen.made.append({"id": "odd", "status": "dreaming"})
    with pytest.raises(BackendError, match="dreaming"):
        lumen.poll("odd")
