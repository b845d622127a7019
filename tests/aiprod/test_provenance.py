"""What a video says of its origin is true, signed, and read back before it ships."""

from __future__ import annotations

import runpy
import sys
import tomllib
from pathlib import Path

import pytest

import aiprod
from aiprod.catalog import DeliveryRules, catalog
from aiprod.errors import ConfigError, JobFailed
from aiprod.models import Manifest, Shot, fingerprint
from aiprod.provenance import Claim, Origin, make_demo_identity, sign, why_not_signed
from tests.aiprod.qa.specimens import moving, tone, write

MANIFEST = Manifest(
    job_id="job-1", version=2, aspect_ratio="16:9", resolution="480p", audio=True, shots=(Shot(index=1, prompt="a", seconds=1),)
)
AI = Origin(shot=1, backend="runway", model="gen4.5", ai=True)
DRAWN = Origin(shot=2, backend="animatic", model="animatic-1", ai=False)


def rules(**changes: str) -> DeliveryRules:
    return catalog().delivery.model_copy(update=changes)


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    chain, key = make_demo_identity(tmp_path / "identity")
    monkeypatch.setenv("AIPROD_C2PA_CERTIFICATE", str(chain))
    monkeypatch.setenv("AIPROD_C2PA_KEY", str(key))
    return chain


@pytest.mark.parametrize(
    ("origins", "word"),
    [((AI,), "trainedAlgorithmicMedia"), ((DRAWN,), "algorithmicMedia"), ((AI, DRAWN), "compositeWithTrainedAlgorithmicMedia")],
)
def test_a_preview_never_says_that_it_is_ai_and_ai_always_does(origins: tuple[Origin, ...], word: str) -> None:
    claim = Claim.of(MANIFEST, origins, title="a.mp4")
    (action,) = claim.document()["assertions"][0]["data"]["actions"]
    assert action["digitalSourceType"].rpartition("/")[2] == word


def test_the_claim_names_the_job_the_approved_manifest_and_every_maker() -> None:
    claim = Claim.of(MANIFEST, [AI, DRAWN], title="a.mp4")
    assert claim.ours["manifest_sha256"] == fingerprint(MANIFEST.model_dump(mode="json"))
    assert [shot["backend"] for shot in claim.ours["shots"]] == ["runway", "animatic"]
    assert (
        claim.document()["assertions"][0]["data"]["actions"][0]["softwareAgent"]["name"] == "animatic animatic-1, runway gen4.5"
    )


class TestWhetherToSign:
    def test_without_a_certificate_nothing_is_signed_unless_it_is_required(self) -> None:
        assert why_not_signed(rules()) == "no certificate is configured"
        with pytest.raises(JobFailed, match="required, and no certificate"):
            why_not_signed(rules(provenance="required"))

    def test_a_webm_cannot_carry_it(self, identity: Path) -> None:
        assert why_not_signed(rules(container="webm")) == "a webm cannot carry it"

    def test_never_means_never(self, identity: Path) -> None:
        assert why_not_signed(rules(provenance="never"))

    def test_half_a_setting_is_a_mistake(self, identity: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("AIPROD_C2PA_KEY")
        with pytest.raises(ConfigError, match="go together"):
            why_not_signed(rules())


def test_the_certificate_of_the_demonstration_says_that_nobody_vouches_for_it(identity: Path) -> None:
    from cryptography import x509

    for certificate in x509.load_pem_x509_certificates(identity.read_bytes()):
        assert "NOT TRUSTED" in certificate.subject.rfc4514_string()
    assert identity.with_suffix(".key").stat().st_mode & 0o077 == 0


class TestSigning:
    """With the signing library, where it is installed."""

    @pytest.fixture
    def video(self, tmp_path: Path) -> Path:
        pytest.importorskip("c2pa")
        return write(tmp_path / "video.mp4", moving(12), tone(0.5), options={"movflags": "+faststart"})

    def test_a_signed_video_says_what_it_is_and_plays(self, video: Path, identity: Path, tmp_path: Path) -> None:
        import json

        import c2pa

        from aiprod.qa import measure

        into, claim = tmp_path / "signed.mp4", Claim.of(MANIFEST, [AI], title="a.mp4")
        sign(video, into, claim)
        with into.open("rb") as stream:
            said = json.loads(c2pa.Reader("video/mp4", stream).json())
        labels = [one["label"] for one in said["manifests"][said["active_manifest"]]["assertions"]]
        assert "org.aiprod.production" in labels
        assert measure(into).frames == measure(video).frames == 12 and not measure(into).truncation

    def test_one_changed_byte_shows(self, video: Path, identity: Path, tmp_path: Path) -> None:
        import json

        import c2pa

        into = tmp_path / "signed.mp4"
        sign(video, into, Claim.of(MANIFEST, [AI], title="a.mp4"))
        data = bytearray(into.read_bytes())
        data[-200] ^= 1
        into.write_bytes(data)
        with into.open("rb") as stream:
            assert json.loads(c2pa.Reader("video/mp4", stream).json())["validation_state"] == "Invalid"

    def test_a_key_that_is_none_is_told_without_it(self, video: Path, identity: Path, tmp_path: Path) -> None:
        identity.with_suffix(".key").write_text("-----BEGIN PRIVATE KEY-----\nSECRET\n-----END PRIVATE KEY-----\n")
        with pytest.raises(JobFailed, match="could not be signed") as told:
            sign(video, tmp_path / "signed.mp4", Claim.of(MANIFEST, [AI], title="a.mp4"))
        assert "SECRET" not in str(told.value)

    def test_what_cannot_be_read_back_is_not_signed(
        self, video: Path, identity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Claim, "ours", {"job_id": "another"}, raising=False)
        sign(video, tmp_path / "fine.mp4", Claim.of(MANIFEST, [AI], title="a.mp4"))
        told = iter([{"job_id": "one"}, {"job_id": "two"}])
        monkeypatch.setattr(Claim, "ours", property(lambda self: next(told)), raising=False)
        with pytest.raises(JobFailed, match="does not say what it was made of"):
            sign(video, tmp_path / "other.mp4", Claim.of(MANIFEST, [AI], title="a.mp4"))


def test_the_claim_names_the_version_that_the_package_has() -> None:
    packaged = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]["version"]
    (generator,) = Claim.of(MANIFEST, (AI,), title="a.mp4").document()["claim_generator_info"]
    assert generator["version"] == packaged == aiprod.__version__


def test_without_a_folder_the_program_says_how_it_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["provenance"])
    monkeypatch.delitem(sys.modules, "aiprod.provenance")
    with pytest.raises(SystemExit, match=r"usage: python -m aiprod\.provenance FOLDER"):
        runpy.run_module("aiprod.provenance", run_name="__main__")
