"""Keys and certificates of a simulator: its own authority, server and client certificate, and an RSA signing key.

They are made once per directory and stay there, so that clients can trust the same authority across restarts.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

#: Name in the client certificate.
CLIENT_CERTIFICATE_SUBJECT = "azure-bridge.contoso.example"
_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files of a simulator; absolute paths, all PEM."""

    ca_file: Path
    server_file: Path
    client_certificate: Path
    client_key: Path
    jwt_key: Path
    jwt_public_key: str

    def server_context(self) -> ssl.SSLContext:
        """TLS for the listener: clients may, but need not, show a certificate of the simulator's authority."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.ca_file))
        context.load_cert_chain(str(self.server_file))
        context.verify_mode = ssl.CERT_OPTIONAL
        return context


def ensure_certificates(directory: Path) -> Certificates:
    """Use the files of a directory; make it, and them, first if they are not complete.

    Raises:
        OSError: the directory cannot be written.
    """
    directory = directory.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    files = {name: directory / f"{name}.pem" for name in ("ca", "server", "client", "client-key", "jwt-key")}
    if not all(path.exists() for path in files.values()):
        _make(files)
    private = serialization.load_pem_private_key(files["jwt-key"].read_bytes(), password=None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return Certificates(
        files["ca"], files["server"], files["client"], files["client-key"], files["jwt-key"], public.decode()
    )


def _make(files: dict[str, Path]) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(files["ca"])
    server = authority.issue_cert(*_HOSTS)
    files["server"].write_bytes(
        server.private_key_pem.bytes() + b"".join(part.bytes() for part in server.cert_chain_pems)
    )
    client = authority.issue_cert(CLIENT_CERTIFICATE_SUBJECT, common_name=CLIENT_CERTIFICATE_SUBJECT)
    files["client"].write_bytes(b"".join(part.bytes() for part in client.cert_chain_pems))
    files["client-key"].write_bytes(client.private_key_pem.bytes())
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    files["jwt-key"].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    for name in ("server", "client-key", "jwt-key"):
        files[name].chmod(0o600)
