"""What Runway's installed SDK says its models take, as data: `python -m tools.runway_models [--check]`."""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from typing_extensions import get_type_hints

FILE = Path(__file__).resolve().parents[1] / "include" / "aiprod" / "backends" / "runway_models.json"
OPERATIONS = ("text_to_video", "image_to_video")
#: A range, where a field's own docstring gives one: the types say only that it is a whole number.
_RANGE = re.compile(r"(?:from|between)\s+(\d+)\s+(?:to|and)\s+(\d+)")
_MOST = re.compile(r"up to (\d+) characters")


def main(argv: list[str]) -> int:
    """Write the file, or with `--check` only say how it differs. Returns 1 when it differs."""
    parser = argparse.ArgumentParser(prog="python -m tools.runway_models", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; fail when the file is not what the SDK says")
    if not parser.parse_args(argv).check:
        FILE.write_text(written(installed()), encoding="utf-8")
        return 0
    said = moved(json.loads(FILE.read_text(encoding="utf-8")), installed())
    print(said or f"{FILE.name} is what the installed SDK says.")
    return 1 if said else 0


def installed() -> dict[str, Any]:
    """Return what the installed SDK says: its version, then operation → model → what that takes."""
    import runwayml
    import runwayml.types

    said: dict[str, Any] = {"sdk": f"runwayml {runwayml.__version__}"}
    for operation in OPERATIONS:
        module = sys.modules[f"runwayml.types.{operation}_create_params"]
        said[operation] = dict(_models(module))
    return said


def written(said: Mapping[str, Any]) -> str:
    """Return the text of the file: sorted, one line per model."""
    lines = [f'  "sdk": {json.dumps(said["sdk"])}']
    for operation in sorted(OPERATIONS):
        models = [
            f"    {json.dumps(name)}: {json.dumps(takes, sort_keys=True)}" for name, takes in sorted(said[operation].items())
        ]
        lines.append(f'  "{operation}": {{\n' + ",\n".join(models) + "\n  }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def moved(file: Mapping[str, Any], sdk: Mapping[str, Any]) -> str:
    """Return what differs in plain sentences, or an empty string."""
    found = [] if file["sdk"] == sdk["sdk"] else [f"The file was made from {file['sdk']}, installed is {sdk['sdk']}."]
    for operation in OPERATIONS:
        old, new = file[operation], sdk[operation]
        found += [f"{operation}: the SDK no longer has {name}." for name in sorted(set(old) - set(new))]
        found += [f"{operation}: the SDK has the new model {name}." for name in sorted(set(new) - set(old))]
        found += [
            f"{operation}: {name} takes {key} = {json.dumps(new[name].get(key))}, the file says {json.dumps(old[name].get(key))}."
            for name in sorted(set(old) & set(new))
            for key in sorted(set(old[name]) | set(new[name]))
            if old[name].get(key) != new[name].get(key)
        ]
    if not found:
        return ""
    again = (
        "The Runway SDK moved: run `python -m tools.runway_models`, read the difference, look at include/config/backends.yaml."
    )
    return "\n".join([again, *found])


def _models(module: types.ModuleType) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every model of one operation: the members of the union that its parameters are."""
    docs = _docstrings(module)
    union = getattr(module, "".join(word.title() for word in module.__name__.rpartition(".")[2].split("_")))
    for variant in typing.get_args(union):
        # The classes' own `__required_keys__` is empty: their annotations are text until they are resolved here.
        hints = get_type_hints(variant, include_extras=True)
        for name in _literals(hints["model"]):
            yield str(name), _takes(hints, docs.get(variant.__name__, {}))


def _takes(hints: Mapping[str, Any], docs: Mapping[str, str]) -> dict[str, Any]:
    required = sorted(name for name, hint in hints.items() if typing.get_origin(hint) is typing.Required and name != "model")
    said: dict[str, Any] = {
        "required": required,
        "optional": sorted(set(hints) - set(required) - {"model"}),
    }
    for name in ("ratio", "resolution"):
        if name in hints:
            said[name] = _literals(hints[name])
    if "duration" in hints:
        said["duration"] = _lengths(hints["duration"], docs.get("duration", ""))
    if most := _MOST.search(docs.get("prompt_text", "")):
        said["prompt_most"] = int(most[1])
    return said


def _lengths(hint: Any, doc: str) -> dict[str, Any]:
    """The lengths a type names, whether it takes any whole number, and between which the docstring says, if it does."""
    said: dict[str, Any] = {}
    if literals := _literals(hint):
        said["one_of"] = literals
    if int in _parts(hint):
        said["whole"] = True
        if limits := _RANGE.search(doc):
            said["least"], said["most"] = int(limits[1]), int(limits[2])
    return said


def _parts(hint: Any) -> list[Any]:
    """What a type is made of: unions and annotations are taken apart."""
    origin = typing.get_origin(hint)
    if origin in (typing.Required, typing.NotRequired, typing.Annotated):
        return _parts(typing.get_args(hint)[0])
    if origin in (typing.Union, types.UnionType):
        return [part for one in typing.get_args(hint) for part in _parts(one)]
    return [hint]


def _literals(hint: Any) -> list[Any]:
    """Every value that a type names, sorted: the SDK's own order changes for no reason."""
    found = {value for part in _parts(hint) if typing.get_origin(part) is typing.Literal for value in typing.get_args(part)}
    return sorted(found, key=lambda value: (isinstance(value, str), value))


def _docstrings(module: types.ModuleType) -> dict[str, dict[str, str]]:
    """Class → field → the text that stands below the field, which exists in the source only."""
    found: dict[str, dict[str, str]] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        found[node.name] = {
            field.target.id: below.value.value
            for field, below in zip(node.body, node.body[1:], strict=False)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
        }
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
