"""Commands are found by name, load only what they need, and every one of them says how it is used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from aiprod.cli import main
from aiprod.cli.commands import COMMANDS, load
from tests.shell import said

#: What a person waits for without a reason when only help is asked for.
HEAVY = ("aiprod.catalog", "aiprod.ledger", "aiprod.models", "av", "cv2", "numpy", "pydantic", "requests", "sqlalchemy", "yaml")


def leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Yield every command with its whole name."""
    for inner, verb in getattr(command, "commands", {}).items():
        yield from leaves(f"{name} {inner}", verb)
    yield name, command


EVERY = dict(leaf for name in COMMANDS for leaf in leaves(name, load(name)))


def loaded(*words: str) -> set[str]:
    probe = (
        "import sys; from aiprod.cli import main\n"
        f"try: main({list(words)!r})\nexcept SystemExit: pass\n"
        "print('\\n' + ' '.join(sys.modules))"
    )
    env = {"PYTHONPATH": ":".join(sys.path), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_help_loads_no_catalogue_no_ledger_and_no_video() -> None:
    assert sorted(loaded("--help") & set(HEAVY)) == []


def test_a_command_over_the_api_loads_no_ledger() -> None:
    assert sorted(loaded("job", "--help") & {"aiprod.ledger", "aiprod.catalog", "av", "sqlalchemy"}) == []


@pytest.mark.parametrize("name", [name for name in EVERY if not hasattr(EVERY[name], "commands")])
def test_every_command_has_a_sentence_an_example_and_json(name: str) -> None:
    command = EVERY[name]
    assert command.help and command.epilog.startswith(f"Example: aiprod {name}")
    options = {word for parameter in command.params for word in parameter.opts}
    # It becomes another program, which prints lines for a shell.
    assert "--json" in options
    assert [p.name for p in command.params if not p.help] == []


def test_what_the_table_promises_is_what_the_command_is() -> None:
    assert sorted(COMMANDS) == sorted(name for name in EVERY if " " not in name)


@pytest.mark.parametrize("name", sorted(EVERY))
def test_every_help_can_be_shown(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    assert f"aiprod {name}" in said(capsys)[0]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["sumbit"], "Did you mean 'submit'?"),
        (["ledger"], "`aiprod ledger --help` says more"),
        (["jobs", "--limit", "x"], "`aiprod jobs --help` says more"),
        (["jobs", "--status", "asleep"], "waiting_approval"),
        (["job"], "JOB"),
    ],
)
def test_wrong_usage_says_what_and_where_to_read(capsys: pytest.CaptureFixture[str], argv: list[str], says: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    out, err = said(capsys)
    assert out == "" and says in err


def test_without_a_command_help_is_shown_and_it_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 2 and "submit" in said(capsys)[0]


@pytest.mark.parametrize(
    ("line", "offers"), [("aiprod sub", "submit"), ("aiprod budget sh", "show"), ("aiprod submit --wa", "--watch")]
)
def test_a_shell_can_complete_commands_and_options(line: str, offers: str) -> None:
    env = {"PYTHONPATH": ":".join(sys.path), "_AIPROD_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "9"}
    env["COMP_CWORD"] = str(len(line.split()) - 1)
    done = subprocess.run([sys.executable, "-m", "aiprod.cli"], capture_output=True, text=True, env=env)
    assert offers in done.stdout.split()
