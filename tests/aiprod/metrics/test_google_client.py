"""Who we are at Cloud Monitoring: a project and a token of our own, or an emulator on this machine that wants neither."""

from __future__ import annotations

import pytest

from aiprod import settings
from aiprod.backends.google_access import Token
from aiprod.errors import BackendError, ConfigError
from aiprod.metrics import google_client
from aiprod.metrics.google_client import Account


@pytest.mark.parametrize("name", ["GCP_PROJECT_ID", "GOOGLE_CLOUD_PROJECT"])
def test_the_project_is_named_as_people_know_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "my-project")
    assert Account().project == "my-project"


def test_what_cannot_be_a_project_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_PROJECT_ID", "../x")
    with pytest.raises(BackendError, match="is no project"):
        _ = Account().project


def test_an_emulator_wants_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIPROD_GCM_ENDPOINT", "grpc://127.0.0.1:8085")
    assert Account().token(1) is None


def test_a_key_that_is_none_is_told_without_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_PROJECT_ID", "p")
    monkeypatch.setenv("GOOGLE_CREDENTIALS_JSON", '{"private_key": "hunter2"}')
    with pytest.raises(BackendError) as refused:
        Account().token(1)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "said", ["http://127.0.0.1:1", "grpc://10.0.0.1:1", "grpc://127.0.0.1", "grpc://127.0.0.1:1/x", "grpc://[x"]
)
def test_what_is_not_on_this_machine_is_never_spoken_to_in_plain_text(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("AIPROD_GCM_ENDPOINT", said)
    with pytest.raises(ConfigError, match="AIPROD_GCM_ENDPOINT must be grpc://127"):
        settings.gcm_endpoint()


def test_googles_own_is_spoken_to_with_our_token_over_tls_and_never_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    from google.api_core.exceptions import ServiceUnavailable
    from google.cloud.monitoring_v3 import MetricServiceClient

    class Access:
        def token(self, seconds: float) -> Token:
            return Token("secret", "quota-project")

    monkeypatch.setenv("GCP_PROJECT_ID", "p")
    monkeypatch.setattr(google_client, "_HOST", "127.0.0.1:9")
    account = Account()
    account._access = Access()  # type: ignore[assignment]
    with account.client(MetricServiceClient, 1) as client, pytest.raises(ServiceUnavailable) as refused:
        client.create_time_series(name="projects/p", time_series=[], timeout=0.5)
    assert "secret" not in str(refused.value)
