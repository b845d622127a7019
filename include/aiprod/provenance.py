"""What a finished video says of its origin: a C2PA manifest inside the file, signed last and read back before it ships.

`python -m aiprod.provenance FOLDER` makes a certificate for demonstrations, which says of itself that nobody vouches for it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aiprod import __version__, settings
from aiprod.catalog import DeliveryRules
from aiprod.errors import ConfigError, JobFailed
from aiprod.models import Manifest, Noun, fingerprint

__all__ = ["Claim", "Origin", "make_demo_identity", "sign", "why_not_signed"]

_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
#: What we say ourselves, beside what the standard has words for.
_OURS = "org.aiprod.production"
_DEMO = "AIPROD DEMO - NOT TRUSTED"


class Origin(Noun):
    """Who made one shot. `ai`: a trained model did; a labelled preview is drawn by a program."""

    shot: int
    backend: str
    model: str
    ai: bool


class Claim(Noun):
    """What is signed: the job, the manifest that was approved, and who made each shot."""

    title: str
    job_id: str
    version: int
    manifest_sha256: str
    origins: tuple[Origin, ...]

    @classmethod
    def of(cls, manifest: Manifest, origins: Sequence[Origin], *, title: str) -> Claim:
        """Return the claim of a video cut from a manifest."""
        return cls(
            title=title,
            job_id=manifest.job_id,
            version=manifest.version,
            manifest_sha256=fingerprint(manifest.model_dump(mode="json")),
            origins=tuple(origins),
        )

    @property
    def source_type(self) -> str:
        """The IPTC word for it: made by AI, made by a program that is none, or both."""
        made_by_ai = {origin.ai for origin in self.origins}
        if made_by_ai == {True, False}:
            return _SOURCE + "compositeWithTrainedAlgorithmicMedia"
        return _SOURCE + ("trainedAlgorithmicMedia" if made_by_ai == {True} else "algorithmicMedia")

    @property
    def ours(self) -> dict[str, Any]:
        """Our own assertion, as JSON has it."""
        shots = [origin.model_dump() for origin in self.origins]
        return {"job_id": self.job_id, "version": self.version, "manifest_sha256": self.manifest_sha256, "shots": shots}

    def document(self) -> dict[str, Any]:
        """The manifest as the signing library takes it."""
        makers = sorted({f"{origin.backend} {origin.model}" for origin in self.origins})
        created = {
            "action": "c2pa.created",
            "digitalSourceType": self.source_type,
            "softwareAgent": {"name": ", ".join(makers)},
        }
        return {
            "claim_generator_info": [{"name": "aiprod", "version": __version__}],
            "title": self.title,
            "format": "video/mp4",
            "assertions": [
                {"label": "c2pa.actions", "data": {"actions": [created]}},
                {"label": _OURS, "data": self.ours},
            ],
        }


def why_not_signed(rules: DeliveryRules) -> str:
    """Return an empty string when a delivery is to be signed, else why it is not. Raises `ConfigError` for half a setting,
    and `JobFailed` when the rules require what cannot be done.
    """
    if rules.provenance == "never":
        return "the rules of this preset do not ask for it"
    missing = _missing(rules)
    if missing and rules.provenance == "required":
        raise JobFailed(f"provenance is required, and {missing}; nothing is delivered without it")
    return missing


def _missing(rules: DeliveryRules) -> str:
    if settings.provenance_files() is None:
        return "no certificate is configured"
    if rules.container != "mp4":
        return f"a {rules.container} cannot carry it"
    try:
        import c2pa  # noqa: F401
    except ImportError:
        return "the package c2pa-python is not installed"
    return ""


def sign(video: Path, into: Path, claim: Claim) -> None:
    """Write `video` with its claim, signed, to `into`, and read it back. Raises `JobFailed` when it says anything else."""
    import c2pa

    files = settings.provenance_files()
    if files is None:
        raise ConfigError("AIPROD_C2PA_CERTIFICATE is not set")
    try:
        chain, key = files[0].read_bytes(), files[1].read_bytes()
    except OSError as error:
        raise ConfigError(f"{error.filename}: cannot be read ({error.strerror})") from None
    try:
        info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=key, ta_url=None)
        with c2pa.Signer.from_info(info) as signer, video.open("rb") as source, into.open("w+b") as target:
            c2pa.Builder(json.dumps(claim.document())).sign(signer, "video/mp4", source, target)
        with into.open("rb") as stream:
            said = json.loads(c2pa.Reader("video/mp4", stream).json())
    # Its errors may quote the key.
    except Exception as error:  # noqa: BLE001
        raise JobFailed(f"the video could not be signed ({type(error).__name__})") from None
    _must_say(said, claim)


def _must_say(said: dict[str, Any], claim: Claim) -> None:
    """Raise `JobFailed` unless what was read back is intact and is what was claimed."""
    if said.get("validation_state") not in ("Valid", "Trusted"):
        raise JobFailed(f"the signature that was just made does not hold: {said.get('validation_state')}")
    active = said.get("manifests", {}).get(said.get("active_manifest"), {})
    found = [one.get("data") for one in active.get("assertions", []) if one.get("label") == _OURS]
    if found != [claim.ours]:
        raise JobFailed("the signed video does not say what it was made of")


def make_demo_identity(folder: Path) -> tuple[Path, Path]:
    """Write a certificate chain and a key that nobody vouches for, marked as such; return their paths. Good for 30 days."""
    from cryptography.hazmat.primitives import serialization

    root_key, root = _certificate(f"{_DEMO} root", None)
    leaf_key, leaf = _certificate(f"{_DEMO} signer", (root_key, root))
    folder.mkdir(parents=True, exist_ok=True)
    chain, key = folder / "demo-not-trusted.pem", folder / "demo-not-trusted.key"
    pem = serialization.Encoding.PEM
    chain.write_bytes(leaf.public_bytes(pem) + root.public_bytes(pem))
    key.touch(mode=0o600)
    key.write_bytes(leaf_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return chain, key


def _certificate(name: str, issuer: tuple[Any, Any] | None) -> tuple[Any, Any]:
    """A key and a certificate for it: of an authority without an `issuer`, else of a signer, as C2PA wants them."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _DEMO), x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing_key, signing_name = (issuer[0], issuer[1].subject) if issuer else (key, subject)
    now, authority = datetime.now(UTC), issuer is None
    usage = x509.KeyUsage(
        digital_signature=not authority, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=authority, crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signing_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False)
        .add_extension(usage, critical=True)
    )
    if not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    return key, builder.sign(signing_key, hashes.SHA256())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m aiprod.provenance FOLDER\nMakes a demonstration certificate and its key there.")
    print(*make_demo_identity(Path(sys.argv[1])), sep="\n")
