"""All vendors as local servers on one port: `python -m aiprod.emulators`, or `aiprod emulate`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from aiprod.emulators.books import Books
from aiprod.emulators.film import Studio
from aiprod.emulators.google_access import write_key_file
from aiprod.emulators.house import House, Terms
from aiprod.emulators.orders import StrangeOrder
from aiprod.emulators.running import KEYS, environment, exports, opened
from aiprod.emulators.vendor import leashed

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until stopped. Prints where, and what to export; then an empty line."""
    given = _parser().parse_args(arguments)
    if given.leash:
        leashed()
    folder = given.folder or Path(tempfile.gettempdir()) / f"aiprod-emulators-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys = {**KEYS, **dict(given.key)}
    terms = Terms(prices=dict(given.price), seconds_per_render=given.seconds_per_render)
    try:
        house = House(Books(given.books or folder / "books.jsonl"), terms, dict(given.rule))
    except StrangeOrder as error:
        sys.exit(f"--rule: {error}")
    try:
        # Other containers reach it by name; their network is not the machine's.
        listen = "0.0.0.0" if given.host else "127.0.0.1"  # noqa: S104 - asked for
        opening = opened(given.port, house, Studio(folder / "films"), keys, listen=listen)
    except OSError as error:
        sys.exit(f"--port {given.port}: {error.strerror}")
    with opening as server, contextlib.suppress(KeyboardInterrupt):
        origin, key_file = f"http://{given.host or '127.0.0.1'}:{server.server_address[1]}", folder / "service-account.json"
        write_key_file(key_file, origin)
        variables = environment(origin, key_file, keys)
        if given.monitoring is not None:
            variables |= _monitoring(given.monitoring)
        said = (
            [json.dumps({"vendors": origin, "environment": variables})]
            if given.json
            else [f"# vendors at {origin}", exports(variables)]
        )
        print(*said, "", sep="\n", flush=True)
        server.serve_forever()


def _monitoring(port: int) -> dict[str, str]:
    """Serve Cloud Monitoring too, until this process ends; return what to set."""
    # Only here: Google's messages take a second to load, and most people watch nothing.
    from aiprod.emulators.monitoring import Monitoring

    try:
        return {**Monitoring(port=port).start().environment, "AIPROD_METRICS_SINKS": "cloud_monitoring"}
    except (OSError, RuntimeError) as error:
        sys.exit(f"--monitoring {port}: {error}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aiprod.emulators", description="Runway, Veo on Vertex, and Replicate.")
    parser.add_argument("--port", type=int, default=8911, help="0: any free one (default: 8911)")
    parser.add_argument("--host", default="", metavar="NAME", help="be called this, and listen everywhere (default: loopback)")
    parser.add_argument("--folder", type=Path, help="where films, the key file and the books are kept (default: a temporary one)")
    parser.add_argument("--books", type=Path, metavar="FILE", help="what was accepted, and every fault (default: in the folder)")
    parser.add_argument("--rule", type=_pair, action="append", default=[], metavar="BACKEND=WORDS", help="what goes wrong")
    parser.add_argument("--price", type=_price, action="append", default=[], metavar="BACKEND[/MODEL]=USD", help="per second")
    parser.add_argument("--key", type=_pair, action="append", default=[], metavar="BACKEND=KEY", help="what a vendor wants")
    parser.add_argument("--seconds-per-render", type=float, default=0.0, metavar="S", help="how long a render takes (default: 0)")
    parser.add_argument(
        "--monitoring", type=int, metavar="PORT", help="serve Google Cloud Monitoring there, too; 0: any free one"
    )
    parser.add_argument("--json", action="store_true", help="print it for programs: one line of JSON, then an empty one")
    parser.add_argument("--leash", action="store_true", help="end when standard input does: with whoever started it")
    return parser


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _price(text: str) -> tuple[str, int]:
    name, usd = _pair(text)
    try:
        micros = Decimal(usd) * 1_000_000
    except InvalidOperation:
        raise argparse.ArgumentTypeError(f"{usd!r} is no price in dollars") from None
    if not micros.is_finite() or micros < 0 or micros != int(micros):
        raise argparse.ArgumentTypeError(f"{usd!r} is no price in dollars, to the micro-dollar")
    return name, int(micros)


if __name__ == "__main__":
    main()
