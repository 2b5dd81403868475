"""A certificate of our own for ``--tls``: a secure page for browsers in the same network."""

from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from platformdirs import user_state_path

VALID_FOR = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)


def certificate_dir() -> Path:
    """Return where the certificate is kept: a browser's exception then outlives a restart."""
    return user_state_path("voice-agent")


def lan_address() -> str | None:
    """Return this machine's address in its network, or None without one; sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))  # connecting UDP only chooses a route (RFC 5737)
        except OSError:
            return None
        return str(sock.getsockname()[0])


def self_signed(folder: Path, names: list[str]) -> tuple[str, str]:
    """Return paths of a certificate for ``names`` and of its key, made anew when needed.

    Raises:
        OSError: The folder cannot be written.
    """
    certificate_file, key_file = folder / "tls-certificate.pem", folder / "tls-key.pem"
    if not (key_file.exists() and _still_good(certificate_file, names)):
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        key_file.touch(mode=0o600)
        key_file.write_bytes(pem)
        certificate = _certificate(key, names)
        certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return str(certificate_file), str(key_file)


def _certificate(key: ec.EllipticCurvePrivateKey, names: list[str]) -> x509.Certificate:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "voice-agent")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName([_san(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _still_good(file: Path, names: list[str]) -> bool:
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    covers = set(extension.value) >= {_san(name) for name in names}
    return covers and certificate.not_valid_after_utc - datetime.now(UTC) > RENEW_BEFORE
