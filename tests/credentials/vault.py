"""A source of secrets that knows their ends, at a time of its own: the key vault's stand-in without the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shared.core.errors import SecretUnavailable
from shared.core.secrets import SecretEnd


@dataclass
class Vault:
    """Values and ends by name. ``away``: nothing can be read."""

    values: dict[str, str] = field(default_factory=dict)
    ends: dict[str, datetime | None] = field(default_factory=dict)
    away: bool = False
    values_read: list[str] = field(default_factory=list)

    def store(self, name: str, value: str, ends: datetime | None = None) -> None:
        self.values[name], self.ends[name] = value, ends

    async def get(self, name: str, *, refresh: bool = False) -> str:
        del refresh
        self._there(name)
        self.values_read.append(name)
        return self.values[name]

    async def end_of(self, name: str) -> SecretEnd:
        self._there(name)
        return SecretEnd(self.ends[name], replace=f"az keyvault secret set --vault-name contoso --name {name}")

    def _there(self, name: str) -> None:
        if self.away or name not in self.values:
            raise SecretUnavailable(f"secret '{name}': the vault cannot be reached. Fix: check the network")

    async def aclose(self) -> None:
        pass


def certificate(ends: datetime, *, key: bool = False) -> str:
    """A certificate in PEM form, with its private key before it where asked for."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "bridge.contoso.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(ends - timedelta(days=365))
        .not_valid_after(ends)
        .sign(private, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM).decode()
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return private.private_bytes(pem, form, serialization.NoEncryption()).decode() + text if key else text


def utc(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)
