"""What `make demo` orders, and what it leaves out of the order."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from aiprod.catalog import Catalog
from aiprod.models import JobSpec
from tools import demo
from tools.airflow_api import AirflowError
from tools.airflow_env import CHECKOUT

EXAMPLES = sorted((CHECKOUT / "examples" / "jobs").glob("*.yaml"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_an_order_its_preset_takes(path: Path, config: Catalog):
    spec = JobSpec.parse(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert spec.total_seconds <= config.presets[spec.preset].max_seconds


def test_the_lighthouse_is_three_shots_of_fifteen_seconds_with_sound():
    spec = JobSpec.parse(yaml.safe_load(demo.DEFAULT.read_text(encoding="utf-8")))
    assert spec.shots is not None
    assert (len(spec.shots), spec.total_seconds, spec.aspect_ratio, spec.audio) == (3, 15.0, "16:9", True)
    assert (spec.preset, spec.backend) == ("quick_social", "auto")


def test_every_demo_orders_a_new_job():
    order = demo.order_in(demo.DEFAULT)
    assert order["job_id"].startswith("lighthouse-2")
    assert JobSpec.parse(order).job_id == order["job_id"]


@pytest.mark.parametrize("text", ["shots: [", "- a list", ""])
def test_a_file_that_is_no_order_is_named_in_one_plain_line(tmp_path: Path, text: str):
    path = tmp_path / "order.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(AirflowError, match=r"order\.yaml"):
        demo.order_in(path)


def test_a_demo_never_uses_a_key_or_another_ledger(config: Catalog):
    keys = {name for entry in config.backends.values() for name in entry.needs}
    ours = {"AIPROD_DATABASE_URL", "AIPROD_STORAGE_URL", "AIPROD_CONFIG_DIR", "AIPROD_TARIFF", "AIPROD_DRY_RUN"}
    assert keys | ours <= set(demo.NOT_FOR_THE_DEMO)
