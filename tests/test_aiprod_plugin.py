"""What Airflow's plugin loader gets to see of us."""

from __future__ import annotations

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.api_fastapi.core_api.datamodels.plugins import PluginResponse

from aiprod_plugin import AiprodPlugin


def test_it_is_called_aiprod() -> None:
    assert AiprodPlugin.name == "aiprod"


def test_airflow_lists_it() -> None:
    """A plugin that does not fit this model silently drops out of Airflow's list, with everything it brings."""
    plugin = AiprodPlugin()
    shown = {name: getattr(plugin, name) for name in PluginResponse.model_fields if hasattr(plugin, name)}

    assert PluginResponse.model_validate({**shown, "source": "aiprod_plugin.py"}).name == "aiprod"


def test_it_uses_nothing_that_keeps_the_api_server_from_starting() -> None:
    """One of these makes Airflow 3.3 demand the FAB provider."""
    plugin = AiprodPlugin()

    assert not any((plugin.appbuilder_views, plugin.appbuilder_menu_items, plugin.flask_blueprints))
