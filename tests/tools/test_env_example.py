"""`.env.example` is the list of what can be set."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from aiprod import settings
from aiprod.backends import Backend
from aiprod.backends.judges import Judge
from aiprod.catalog import BackendEntry, Catalog, JudgeEntry
from tools.airflow_env import CHECKOUT


def test_it_names_what_the_settings_the_vendors_and_compose_read_and_nothing_else(config: Catalog):
    text = (CHECKOUT / ".env.example").read_text(encoding="utf-8")
    offered = set(re.findall(r"^#?([A-Z][A-Z0-9_]+)=", text, re.MULTILINE))
    read = set(re.findall(r"[\"`](AIPROD_[A-Z0-9_]+)[\"`]", Path(settings.__file__).read_text(encoding="utf-8")))
    paid = [*config.backends.values(), *config.judges.values()]
    vendors = {name for entry in paid for name in (*entry.needs, *_adapter(entry).reads)}
    compose = set(re.findall(r"(?<!\$)\$\{([A-Z][A-Z0-9_]+)", (CHECKOUT / "docker-compose.yaml").read_text(encoding="utf-8")))
    assert offered == read | vendors | compose


def _adapter(entry: BackendEntry | JudgeEntry) -> type[Backend | Judge]:
    module, _, attribute = str(entry.adapter).partition(":")
    adapter: type[Backend | Judge] = getattr(importlib.import_module(module), attribute)
    return adapter
