"""What a person types into a connection arrives under the names that adapters read, and mistakes are told without secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import tests.airflow_home  # noqa: F401 - before Airflow is imported

# isort: split
from airflow.sdk import Connection

from aiprod.errors import ConfigError
from aiprod_airflow.hooks.fields import secrets_in, values

KEY = {"type": "service_account", "project_id": "of-the-key", "private_key_id": "k1", "private_key": "-----CANARY-----"}


def connection(conn_type: str = "generic", *, extra: dict[str, Any] | str | None = None, **fields: Any) -> Connection:
    text = json.dumps(extra) if isinstance(extra, dict) else extra
    return Connection(conn_id="aiprod_x", conn_type=conn_type, extra=text, **fields)


@pytest.mark.parametrize(
    ("backend", "key", "address"),
    [
        ("runway", "RUNWAYML_API_SECRET", "RUNWAYML_BASE_URL"),
        ("replicate", "REPLICATE_API_TOKEN", "REPLICATE_BASE_URL"),
        ("gemini", "GEMINI_API_KEY", "GEMINI_BASE_URL"),
    ],
)
class TestOneKey:
    def test_the_password_is_the_key_and_nothing_else_is_made_up(self, backend: str, key: str, address: str) -> None:
        assert values(backend, connection(password="k")) == {key: "k"}

    @pytest.mark.parametrize(
        "given",
        [
            {"host": "http://127.0.0.1:8911"},
            {"host": "http://127.0.0.1", "port": 8911},
            {"host": "127.0.0.1", "port": 8911, "schema": "http"},
            {"host": "http://127.0.0.1:8911/"},
        ],
    )
    def test_an_address_is_understood_however_airflow_took_it_apart(
        self, backend: str, key: str, address: str, given: dict[str, Any]
    ) -> None:
        assert values(backend, connection(password="k", **given)) == {key: "k", address: "http://127.0.0.1:8911"}

    def test_without_a_word_on_it_an_address_is_https(self, backend: str, key: str, address: str) -> None:
        assert values(backend, connection(host="api.example"))[address] == "https://api.example"


class TestGoogle:
    """Our own type and Google's, with and without the prefix that older connections carry."""

    @pytest.mark.parametrize("conn_type", ["aiprod_veo3", "google_cloud_platform"])
    @pytest.mark.parametrize("prefix", ["", "extra__google_cloud_platform__"])
    @pytest.mark.parametrize("as_text", [True, False])
    def test_a_key_in_the_connection_is_found(self, conn_type: str, prefix: str, as_text: bool) -> None:
        extra = {f"{prefix}project": "p", f"{prefix}keyfile_dict": json.dumps(KEY) if as_text else KEY}

        found = values("veo3", connection(conn_type, extra=extra))

        assert found.pop("GOOGLE_CREDENTIALS_JSON") == json.dumps(KEY)
        assert found == {"GCP_PROJECT_ID": "p"}

    def test_a_key_in_a_file_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "key.json").write_text(json.dumps(KEY))

        found = values("veo3", connection(extra={"key_path": str(tmp_path / "key.json")}))

        assert found == {"GOOGLE_CREDENTIALS_JSON": json.dumps(KEY), "GCP_PROJECT_ID": "of-the-key"}

    def test_without_a_key_the_machines_own_credentials_are_left_to_the_adapter(self) -> None:
        assert values("veo3", connection("google_cloud_platform", extra={"project": "p"})) == {"GCP_PROJECT_ID": "p"}

    def test_our_own_form_says_where_and_into_which_bucket(self) -> None:
        extra = {"project": "p", "location": "europe-west4", "bucket": "gs://b/veo", "storage_url": "http://127.0.0.1:1"}

        found = values("veo3", connection("aiprod_veo3", extra=extra, host="http://127.0.0.1", port=1))

        assert found == {
            "GCP_PROJECT_ID": "p",
            "GOOGLE_CLOUD_LOCATION": "europe-west4",
            "AIPROD_VEO3_BUCKET": "gs://b/veo",
            "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1",
            "GOOGLE_VERTEX_BASE_URL": "http://127.0.0.1:1",
        }

    def test_the_host_of_somebody_elses_google_connection_is_not_where_the_token_goes(self) -> None:
        found = values("veo3", connection("google_cloud_platform", extra={"project": "p"}, host="https://elsewhere.example"))

        assert found == {"GCP_PROJECT_ID": "p"}

    @pytest.mark.parametrize("way", ["key_secret_name", "credential_config_file", "impersonation_chain", "is_anonymous"])
    def test_a_way_to_credentials_that_we_do_not_go_is_refused_rather_than_paid_by_somebody_else(self, way: str) -> None:
        with pytest.raises(ConfigError, match=rf"aiprod_x: {way} is not understood"):
            values("veo3", connection("google_cloud_platform", extra={"project": "p", way: "x"}))


class TestMistakes:
    @pytest.mark.parametrize(
        "extra",
        [
            "CANARY, no JSON",
            '["CANARY"]',
            {"keyfile_dict": "CANARY, no JSON"},
            {"keyfile_dict": '["CANARY"]'},
            {"keyfile_dict": ["CANARY"]},
            {"key_path": "/nowhere/at/all.json"},
        ],
    )
    def test_what_cannot_be_read_is_named_and_not_repeated(self, extra: Any) -> None:
        with pytest.raises(ConfigError, match="aiprod_x") as told:
            values("veo3", connection(extra=extra))

        assert "CANARY" not in str(told.value)

    def test_an_empty_connection_says_nothing(self) -> None:
        assert [values(name, connection()) for name in ("runway", "replicate", "veo3", "another")] == [{}] * 4


def test_a_vendor_of_ones_own_is_fed_by_its_password_and_by_names_in_extra() -> None:
    given = connection(password="k", extra={"ACME_REGION": "eu", "note": "not a name"})

    found = values("acme", given, needs=["ACME_KEY"])

    assert found == {"ACME_KEY": "k", "ACME_REGION": "eu"}
    assert secrets_in(found, needs=["ACME_KEY"]) == ["k"]


def test_every_part_of_a_key_that_opens_something_counts_as_secret() -> None:
    found = {"GCP_PROJECT_ID": "p", "GOOGLE_CREDENTIALS_JSON": json.dumps(KEY), "RUNWAYML_API_SECRET": "r"}

    assert set(secrets_in(found, needs=["GCP_PROJECT_ID"])) == {"r", json.dumps(KEY), "-----CANARY-----", "k1"}


def test_a_judge_on_vertex_is_fed_by_names_in_extra() -> None:
    extra = {"AIPROD_JUDGE_PROJECT": "p-1", "GOOGLE_CREDENTIALS_JSON": json.dumps(KEY)}
    found = values("gemini", connection(extra=extra), needs=("GEMINI_API_KEY", "AIPROD_JUDGE_PROJECT"))
    assert found == extra
    assert "-----CANARY-----" in secrets_in(found)
