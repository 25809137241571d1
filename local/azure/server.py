"""Starts the clouds: http and https listeners in front of one set of data."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from local.azure.cloud import Cloud
from local.azure.demo.identities import CONTOSO, FABRIKAM, WEBHOOK_URI, guid, secret_of
from local.azure.demo.inventory import DEVELOPMENT, PRODUCTION, RETAIL
from local.azure.entra.keys import self_signed
from local.azure.entra.managed_identity import PATH as IDENTITY_PATH
from local.azure.frontend import Frontend
from local.azure.ingestion.rules import DataCollectionRule
from local.azure.ingestion.store import TableStore
from local.scratch import scratch
from local.simulator_kit.certificates import Certificates, ensure_certificates
from local.simulator_kit.server import Endpoints, listening


@dataclass(frozen=True, slots=True)
class Simulator(Endpoints):
    """The running clouds, and everything a client needs to work with them.

    ``https_url`` is the authority, Resource Manager and Graph at once (azure-identity: ``authority=https_url,
    disable_instance_discovery=True, connection_verify=ca_file``; others: as base address). ``client_id`` is the
    bridge's application with least privileges, present in both tenants; ``certificate_file`` (PEM, key and certificate)
    proves it as well. ``reader_*`` may read only, ``stranger_*`` nothing, the secret of ``lapsed_*`` has expired.
    ``identity_endpoint`` and ``identity_header`` are what App Service sets as IDENTITY_ENDPOINT and IDENTITY_HEADER.
    Files are absolute paths.
    """

    tenant_id: str
    other_tenant_id: str
    client_id: str
    client_secret: str
    certificate_file: str
    reader_client_id: str
    reader_client_secret: str
    stranger_client_id: str
    stranger_client_secret: str
    lapsed_client_id: str
    lapsed_client_secret: str
    identity_endpoint: str
    identity_header: str
    user_identity_client_id: str
    webhook_resource: str
    subscriptions: tuple[str, ...]
    other_subscriptions: tuple[str, ...]


@asynccontextmanager
async def running(
    *,
    port: int = 0,
    https_port: int = 0,
    certificates: Path | str | None = None,
    latency: float = 0.0,
    rules: Sequence[DataCollectionRule] = (),
    tables: TableStore | None = None,
) -> AsyncIterator[Simulator]:
    """Run the clouds on the loopback interface while the context lasts. Nothing is kept afterwards.

    Args:
        port: of the http listener, 0 for a free one.
        https_port: of the https listener, 0 for a free one.
        certificates: directory of keys and certificates; shared with a ServiceNow simulator (its ``data``) both have
            the same authority. Without one, new ones are made.
        latency: seconds of service time added to every API call.
        rules: data collection rules of the first day.
        tables: what their rows go into, for whoever queries it from Python; None for an own one.

    Raises:
        OSError: a port is taken, or the directory cannot be written.
        ValueError: the subscription of a rule is not known.
    """
    with scratch("azure") as folder:
        files = ensure_certificates(Path(certificates or folder))
        application, pem = _application_certificate(files, folder)
        cloud = Cloud(application, rules, tables)
        cloud.settings.latency_ms = latency * 1000
        async with listening(Frontend(cloud), files, port=port, https_port=https_port) as endpoints:
            yield _describe(endpoints, pem, cloud)


def _application_certificate(files: Certificates, folder: Path) -> tuple[x509.Certificate, Path]:
    """The certificate of the application ``bridge``, and a PEM of it with its key."""
    data = files.jwt_key.read_bytes()
    key = serialization.load_pem_private_key(data, password=None)
    if not isinstance(key, RSAPrivateKey):
        raise TypeError(f"{files.jwt_key} holds no RSA key")
    certificate = self_signed(key, "bridge.contoso.example")
    path = folder / "application.pem"
    path.write_bytes(data + certificate.public_bytes(serialization.Encoding.PEM))
    path.chmod(0o600)
    return certificate, path


def _describe(endpoints: Endpoints, pem: Path, cloud: Cloud) -> Simulator:
    return Simulator(
        **endpoints.as_json(),
        tenant_id=CONTOSO.id,
        other_tenant_id=FABRIKAM.id,
        client_id=guid("app bridge"),
        client_secret=secret_of("bridge"),
        certificate_file=str(pem),
        reader_client_id=guid("app reader"),
        reader_client_secret=secret_of("reader"),
        stranger_client_id=guid("app stranger"),
        stranger_client_secret=secret_of("stranger"),
        lapsed_client_id=guid("app lapsed"),
        lapsed_client_secret=secret_of("lapsed"),
        identity_endpoint=f"{endpoints.url}{IDENTITY_PATH}",
        identity_header=cloud.managed_identity.header,
        user_identity_client_id=guid("managed identity bridge-user"),
        webhook_resource=WEBHOOK_URI,
        subscriptions=(PRODUCTION, DEVELOPMENT),
        other_subscriptions=(RETAIL,),
    )
