"""Tenants, applications, who they are in each tenant, and what they may do there."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from cryptography import x509

from local.azure.entra.keys import thumbprints


@dataclass(frozen=True, slots=True)
class Tenant:
    """A Microsoft Entra tenant, found by its id or one of its domains."""

    id: str
    name: str
    domains: tuple[str, ...]


@dataclass(slots=True)
class Secret:
    """A client secret. ``expires``: Unix seconds, None for never."""

    value: str
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """Whose tokens stand for a secret of an application: those of one subject of an issuer."""

    issuer: str
    subject: str


@dataclass(slots=True)
class Application:
    """An app registration that signs in with secrets, certificates, or tokens of identities that it trusts."""

    name: str
    client_id: str
    secrets: list[Secret] = field(default_factory=list)
    certificates: list[x509.Certificate] = field(default_factory=list)
    federated: list[FederatedCredential] = field(default_factory=list)

    def certificate(self, thumbprint: str) -> x509.Certificate | None:
        """The registered certificate of an ``x5t`` or ``x5t#S256``."""
        return next((item for item in self.certificates if thumbprint in thumbprints(item)), None)


@dataclass(frozen=True, slots=True)
class Api:
    """A resource that tokens are for. ``uris`` are its identifiers; ``app_id`` is one as well. ``version`` is the
    token version that it accepts, 0 for the setting ``webhook_token_version``."""

    app_id: str
    name: str
    uris: tuple[str, ...]
    version: int = 1

    def named(self, resource: str) -> bool:
        """Is it meant by a resource identifier, with or without a slash at its end?"""
        return resource.rstrip("/").lower() in {self.app_id, *(uri.lower() for uri in self.uris)}


@dataclass(slots=True)
class Grant:
    """Actions allowed at a scope and below. ``*`` in an action stands for any text; the scope ``/`` is the tenant.

    ``not_actions`` are left out of this grant; another one may still allow them.
    """

    scope: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        """Is the action among them?"""
        return _among(action, self.actions) and not _among(action, self.not_actions)


def _among(action: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


@dataclass(slots=True)
class Principal:
    """A service principal or managed identity: an application in one tenant.

    ``app_roles`` are its roles by the app id of the API that defines them; they go into tokens. ``grants`` are its role
    assignments in Resource Manager; they are looked up at each call. ``managed``: it is a managed identity, signed in
    through the identity endpoint only.
    """

    name: str
    tenant: str
    client_id: str
    object_id: str
    app_roles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)
    managed: bool = False
    resource_id: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the control API; without secrets."""
        return {
            "name": self.name,
            "tenant": self.tenant,
            "client_id": self.client_id,
            "object_id": self.object_id,
            "managed": self.managed,
            "app_roles": {api: list(roles) for api, roles in self.app_roles.items()},
            "grants": [
                {"scope": grant.scope, "actions": list(grant.actions), "not_actions": list(grant.not_actions)}
                for grant in self.grants
            ],
        }


class Directory:
    """Everything that Entra knows, of all tenants."""

    def __init__(
        self, tenants: list[Tenant], apis: list[Api], applications: list[Application], principals: list[Principal]
    ) -> None:
        self.tenants = tenants
        self.apis = apis
        self.applications = applications
        self.principals = principals

    def tenant(self, text: str) -> Tenant | None:
        """By id, domain or display name."""
        wanted = text.lower()
        return next((one for one in self.tenants if wanted in (one.id, one.name.lower(), *one.domains)), None)

    def api(self, resource: str) -> Api | None:
        """The API that a resource identifier means."""
        return next((one for one in self.apis if one.named(resource)), None)

    def application(self, client_id: str) -> Application | None:
        """By client id or name."""
        wanted = client_id.lower()
        return next((one for one in self.applications if wanted in (one.client_id, one.name)), None)

    def principal(self, tenant: str, client_id: str) -> Principal | None:
        """Who an application is in a tenant, None where it was never consented to."""
        return next(
            (one for one in self.principals if one.tenant == tenant and one.client_id == client_id.lower()), None
        )

    def by_object(self, tenant: str, object_id: str) -> Principal | None:
        """The principal that a token names."""
        return next((one for one in self.principals if one.tenant == tenant and one.object_id == object_id), None)

    def named(self, identity: str, tenant: str = "") -> list[Principal]:
        """Principals by name, client id or object id, of one tenant (id or name) or of all.

        Raises:
            KeyError: there is none.
        """
        where = self.tenant(tenant) if tenant else None
        if tenant and where is None:
            raise KeyError(tenant)
        found = [
            one
            for one in self.principals
            if identity in (one.name, one.client_id, one.object_id) and (where is None or one.tenant == where.id)
        ]
        if not found:
            raise KeyError(identity)
        return found
