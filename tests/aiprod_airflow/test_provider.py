"""Airflow finds our connection types in a checkout that nobody installed, with their forms and hooks."""

from __future__ import annotations

import json
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.providers_manager import ProvidersManager
from airflow.sdk import Connection
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from aiprod_airflow.hooks import vendors
from aiprod_airflow.hooks.fields import values
from aiprod_airflow.provider import provider_info

ROOT = Path(__file__).parents[2]


def test_airflow_finds_the_connection_types_by_the_python_path_alone() -> None:
    """`include` and `plugins` are on the path of this process, as in every run mode, and nothing of ours is installed."""
    hooks = {name: hook for name, hook in ProvidersManagerTaskRuntime().hooks.items() if hook and hook.package_name == "aiprod"}
    forms = {form.connection_type: form for form in ProvidersManager().iter_connection_type_hook_ui_metadata()}

    assert {name: (hook.hook_name, hook.connection_testable) for name, hook in hooks.items()} == {
        "aiprod_runway": ("AIPROD: Runway", True),
        "aiprod_veo3": ("AIPROD: Google Veo 3", True),
        "aiprod_replicate": ("AIPROD: Replicate", True),
    }
    assert all(forms[name].hook_name == hook.hook_name for name, hook in hooks.items())
    assert forms["aiprod_runway"].field_behaviour["relabeling"]["password"] == "API secret"


def test_the_checkout_and_an_installation_tell_airflow_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (ours,) = distributions(name="aiprod", path=[str(ROOT / "plugins")])

    assert (ours.metadata["Name"], ours.version) == (project["name"], project["version"]) == ("aiprod", ours.version)
    assert {point.name: point.value for point in ours.entry_points} == project["entry-points"]["apache_airflow_provider"]
    assert provider_info()["package-name"] == project["name"]


def test_every_connection_type_has_its_hook_and_every_field_of_its_form_means_something() -> None:
    for told in provider_info()["connection-types"]:
        hook = import_string(told["hook-class-name"])
        assert hook.__name__ in vendors.__all__
        assert (hook.conn_type, hook.hook_name) == (told["connection-type"], told["hook-name"])
        typed = {name: "x" for name in told.get("conn-fields", {}) if name not in ("keyfile_dict", "key_path")}
        shown = {"host", "password"} - set(told["ui-field-behaviour"]["hidden-fields"])
        assert len(values(hook.backend, _filled(hook.conn_type, typed, shown))) == len(typed) + len(shown)


def _filled(conn_type: str, extra: dict[str, str], shown: set[str]) -> Connection:
    return Connection(conn_id="c", conn_type=conn_type, extra=json.dumps(extra), **dict.fromkeys(shown, "x"))
