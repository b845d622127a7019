"""docs/cli.md from the commands themselves: `python -m tools.cli_docs`; `--check` only says whether it is current."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from typing import Any

from aiprod import client
from aiprod.cli.commands import COMMANDS, load, program
from tools.airflow_env import CHECKOUT

PAGE = CHECKOUT / "docs" / "cli.md"
_AGAIN = "python -m tools.cli_docs"


def main(argv: list[str]) -> int:
    """Write the page, or check it; return 1 when it is out of date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = page()
    if parser.parse_args(argv).check:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == text
        print(f"{PAGE.name} is current" if current else f"{PAGE.name} is out of date: `{_AGAIN}` writes it")
        return 0 if current else 1
    PAGE.write_text(text, encoding="utf-8")
    print(PAGE)
    return 0


def page() -> str:
    """Return the whole page."""
    top = program()
    parts = [
        "# The command line and the Python client",
        f"Written by `{_AGAIN}` from the commands' own help; do not edit it.",
        "Installed it is `aiprod`; in a checkout `PYTHONPATH=include .venv/bin/python -m aiprod.cli`. "
        "`aiprod --install-completion` teaches your shell its words.",
        _joined(top.help),
        _options(top),
    ]
    panels: dict[str, list[str]] = {}
    for name, (_, panel, what) in COMMANDS.items():
        panels.setdefault(panel, []).append(f"| [`aiprod {name}`](#aiprod-{name}) | {what} |")
    for panel, rows in panels.items():
        parts.append("\n".join([f"| {panel} | |", "|---|---|", *rows]))
    for name in COMMANDS:
        parts += [section for words, command in _leaves(name, load(name)) for section in _command(words, command)]
    return "\n\n".join([*parts, *_client()]) + "\n"


def _leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield a command and, after it, those it has, each with its whole name."""
    yield name, command
    for inner, verb in getattr(command, "commands", {}).items():
        yield from _leaves(f"{name} {inner}", verb)


def _command(name: str, command: Any) -> list[str]:
    level = "##" if " " not in name else "###"
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    words = ["aiprod", name, *(p.metavar or p.name.upper() for p in arguments)]
    more = ["COMMAND …"] if getattr(command, "commands", None) else []
    parts = [f"{level} `aiprod {name}`", f"`{' '.join([*words, *more])} [options]`", _joined(command.help), _options(command)]
    if command.epilog:
        parts.append(f"    {command.epilog.removeprefix('Example: ')}")
    return [part for part in parts if part]


def _options(command: Any) -> str:
    rows = []
    for one in command.params:
        option = one.param_type_name == "option"
        word = "/".join([*one.opts, *one.secondary_opts]) if option else one.metavar or one.name.upper()
        value = f" {one.metavar}" if option and one.metavar and not one.is_flag else ""
        default = f" (default: {one.default})" if _tells(one) else ""
        needed = " (must be given)" if option and one.required else ""
        rows.append(f"| `{word}{value}` | {_cell(one.help)}{default}{needed} |")
    return "\n".join(["| | |", "|---|---|", *rows]) if rows else ""


def _tells(one: Any) -> bool:
    """Whether the default says more than the help: no flags, nothing computed, nothing empty."""
    return isinstance(one.default, str | int | float) and not isinstance(one.default, bool) and one.default != ""


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _joined(text: str | None) -> str:
    """Paragraphs as one line each."""
    return "\n\n".join(" ".join(part.split()) for part in (text or "").split("\n\n"))


def _client() -> list[str]:
    """The Python client, as its docstrings tell it."""
    summary, example, *rest = inspect.cleandoc(client.__doc__ or "").split("\n\n")
    code = [part for part in (example, *rest) if part.startswith("    ")]
    prose = [_joined(part) for part in rest if not part.startswith("    ")]
    rows = ["| `Client.` | |", "|---|---|"]
    for name, method in vars(client.Client).items():
        call = method.__func__ if isinstance(method, classmethod) else method
        if name.startswith("_") or not inspect.isfunction(call):
            continue
        words = [p for p in inspect.signature(call).parameters if p not in ("self", "cls")]
        told = _cell(inspect.getdoc(call))
        rows.append(f"| `{name}({', '.join(words)})` | {told} |")
    start = (CHECKOUT / "examples" / "client.py").read_text(encoding="utf-8").partition('"""\n\n')[2].strip()
    whole = ["A whole program, [examples/client.py](../examples/client.py):", f"```python\n{start}\n```"]
    return ["## Python client", "`aiprod.client`: " + _joined(summary), *code, *prose, "\n".join(rows), *whole]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
