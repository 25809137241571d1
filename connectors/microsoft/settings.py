"""How an application signs in to Microsoft Entra. The docstrings go into the JSON Schema and docs."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import model_validator

from shared.core.settings import Guid, HoldsCertificate, SecretRef, SettingsModel


class ManagedIdentitySettings(SettingsModel):
    """A managed identity of the app that an application trusts in place of a secret (federated credential)."""

    client_id: Guid | None = None
    """Client id of a user-assigned identity of the app. Left out: the app's own identity."""


class SignIn(SettingsModel):
    """An application (service principal) of a tenant, and how it proves itself: by exactly one of ``client_secret``,
    ``certificate`` and ``managed_identity``. A secret or certificate with a new value is used without a restart."""

    tenant: Guid
    """Id of the tenant."""
    client_id: Guid
    """Application (client) id."""
    client_secret: SecretRef | None = None
    """Its client secret."""
    certificate: Annotated[SecretRef | None, HoldsCertificate()] = None
    """Its certificate with the private RSA key: PEM, or what Key Vault keeps behind a certificate."""
    managed_identity: ManagedIdentitySettings | None = None
    """A managed identity of the app, where the application has a federated credential for it: there is no secret that
    could expire. Write ``{}`` for the app's own identity."""

    @model_validator(mode="after")
    def _exactly_one_proof(self) -> Self:
        given = [one for one in (self.client_secret, self.certificate, self.managed_identity) if one is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of 'client_secret', 'certificate' and 'managed_identity'")
        return self
