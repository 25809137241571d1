"""Settings of a ServiceNow connection. The attribute docstrings are the reference: they go into the JSON Schema."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from connectors.servicenow.encoded_query import alternatives
from connectors.servicenow.states import StateOverrides
from shared.config.connection import ConnectionSettings
from shared.core.settings import Duration, HoldsCertificate, HoldsConsent, SecretRef, SettingsModel

#: Name of a table or column of ServiceNow.
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,79}$")]


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def instance_url(value: str) -> str:
    """Check the address of an instance and bring it into the form ``https://host`` or ``https://host:port``.

    Raises ValueError, which never quotes the address: people do write passwords into it.
    """
    example = "Fix: write it as https://contoso.service-now.com"
    try:
        parts = urlsplit(value)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError(f"not a URL. {example}") from None
    if "@" in parts.netloc:
        raise ValueError(f"user name and password do not belong into the URL. {example} and use 'auth'")
    if parts.path not in ("", "/") or "?" in value or "#" in value:
        raise ValueError(f"only scheme and host are wanted, no path, query or fragment. {example}")
    if not host or any(character.isspace() or character in "%\\" for character in host):
        raise ValueError(f"there is no host name in it. {example}")
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(host)):
        raise ValueError(f"https is required (http is accepted for this machine only, such as localhost). {example}")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" if port is None else f"{parts.scheme}://{shown}:{port}"


class BasicAuth(SettingsModel):
    """User name and password with every call. Simple, and refused by instances with the basic authentication
    restriction unless the account is for web services only."""

    type: Literal["basic"]
    """basic"""
    username: Annotated[str, Field(min_length=1, pattern=r"^[^:]+$")]
    """User name of the integration user."""
    password: SecretRef
    """Its password."""


class OAuthClientCredentials(SettingsModel):
    """OAuth 2.0 client credentials grant: recommended. Needs the system property
    ``glide.oauth.inbound.client.credential.grant_type.enabled`` and an OAuth Application User."""

    type: Literal["oauth_client_credentials"]
    """oauth_client_credentials"""
    client_id: Annotated[str, Field(min_length=1)]
    """Client ID of the application registry record."""
    client_secret: SecretRef
    """Its client secret."""
    scope: str | None = None
    """OAuth scope to ask for, for example ``useraccount``. Left out: none is sent."""


def checked_redirect(value: str) -> str:
    """Check a redirect URL. Raises ValueError."""
    parts = urlsplit(value)
    on_this_machine = parts.scheme == "http" and _loopback(parts.hostname or "")
    if not (on_this_machine or (parts.scheme == "https" and parts.hostname)) or "@" in parts.netloc or parts.fragment:
        raise ValueError(
            "neither an address of this machine nor https. Fix: write it as the registry record has it, such as "
            "http://127.0.0.1:8400/"
        )
    return value


class OAuthAuthorizationCode(SettingsModel):
    """OAuth 2.0 authorization code grant: a person logs in as the integration user once and consents (``bridge.py
    connect``); the bridge stores the refresh token and no password. The consent ends with the refresh token: see
    ``refresh_token_lifetime``."""

    type: Literal["oauth_authorization_code"]
    """oauth_authorization_code"""
    client_id: Annotated[str, Field(min_length=1)]
    """Client ID of the application registry record."""
    client_secret: SecretRef
    """Its client secret."""
    refresh_token: Annotated[SecretRef, HoldsConsent()]
    """The refresh token. ``bridge.py connect`` puts it into Key Vault under this name; where no vault is configured,
    it is kept in the bridge's storage, encrypted with the client secret."""
    redirect_url: Annotated[str, AfterValidator(checked_redirect)] = "http://127.0.0.1:8400/"
    """One of the redirect URLs of the registry record. An http address of this machine: ``bridge.py connect`` listens
    there for the browser. Any other: the address that the browser shows in the end is pasted (``--paste``)."""
    refresh_token_lifetime: Annotated[Duration, Field(ge=timedelta(minutes=10), le=timedelta(days=36500))] = timedelta(
        days=100
    )
    """Refresh Token Lifespan of the registry record. The instance does not tell it, and the end of the consent is
    computed from it."""
    refresh_token_extended: bool = False
    """Whether the instance moves the end of the refresh token whenever it is used. An instance that replaces it is
    noticed without this."""
    scope: str | None = None
    """OAuth scope to ask for. Left out: none is sent."""


class OAuthPassword(SettingsModel):
    """OAuth 2.0 resource owner password grant: legacy; ServiceNow recommends to switch it off."""

    type: Literal["oauth_password"]
    """oauth_password"""
    client_id: Annotated[str, Field(min_length=1)]
    """Client ID of the application registry record."""
    client_secret: SecretRef
    """Its client secret."""
    username: Annotated[str, Field(min_length=1)]
    """User name of the integration user."""
    password: SecretRef
    """Its password."""
    scope: str | None = None
    """OAuth scope to ask for. Left out: none is sent."""


class OAuthJwtBearer(SettingsModel):
    """OAuth 2.0 JWT bearer grant: recommended. Needs a JWT verifier map on the instance."""

    type: Literal["oauth_jwt_bearer"]
    """oauth_jwt_bearer"""
    client_id: Annotated[str, Field(min_length=1)]
    """Client ID of the application registry record; issuer and audience of the token."""
    client_secret: SecretRef | None = None
    """Its client secret. Left out for public clients."""
    private_key: Annotated[SecretRef, HoldsCertificate(always=False)]
    """Private key in PEM form, not encrypted. Where its certificate stands beside it (what Key Vault keeps behind a
    certificate), the bridge warns before that ends."""
    key_id: Annotated[str, Field(min_length=1)]
    """Key id (kid) of the JWT verifier map."""
    subject: Annotated[str, Field(min_length=1)]
    """The integration user: the value of the field that the registry record names as user field."""
    algorithm: Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"] = "RS256"
    """Signature algorithm; must fit the key."""
    lifetime: Annotated[Duration, Field(ge=timedelta(seconds=10), le=timedelta(hours=1))] = timedelta(minutes=5)
    """How long each signed token is valid."""


class ApiKeyAuth(SettingsModel):
    """Inbound API key. Needs the plugin ``com.glide.tokenbased_auth`` and a REST API access policy."""

    type: Literal["api_key"]
    """api_key"""
    key: SecretRef
    """The key."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "x-sn-apikey"
    """Request header that carries it, as the inbound authentication profile says."""


class MutualTls(SettingsModel):
    """Client certificate. Needs the certificate-based authentication plugin and the certificate mapped to a user."""

    type: Literal["mutual_tls"]
    """mutual_tls"""
    certificate: Annotated[SecretRef, HoldsCertificate()]
    """Certificate in PEM form, with intermediate certificates after it."""
    private_key: SecretRef
    """Its private key in PEM form, not encrypted."""


Auth = Annotated[
    BasicAuth
    | OAuthClientCredentials
    | OAuthAuthorizationCode
    | OAuthPassword
    | OAuthJwtBearer
    | ApiKeyAuth
    | MutualTls,
    Field(discriminator="type"),
]


class Reference(SettingsModel):
    """How the values of a reference field are found."""

    table: Identifier
    """Table that the field refers to."""
    by: Annotated[list[Identifier], Field(min_length=1, max_length=5)]
    """Columns that are compared with the value, best first. A value that fits several rows equally well is left out
    of the ticket, with a warning."""


Match = Literal["resource_id", "fqdn", "name"]


def _distinct(values: tuple[Match, ...]) -> tuple[Match, ...]:
    if len(set(values)) != len(values):
        raise ValueError("a value is given twice. Fix: name each once")
    return values


class ConfigurationItems(SettingsModel):
    """How the affected configuration item (field ``cmdb_ci``) is found."""

    match: Annotated[tuple[Match, ...], Field(min_length=1), AfterValidator(_distinct)] = (
        "resource_id",
        "fqdn",
        "name",
    )
    """What is compared, best first: ``resource_id`` (the column below), ``fqdn``, ``name``."""
    resource_id_attribute: Identifier = "object_id"
    """Column of ``cmdb_ci`` that holds the Azure resource id."""
    prefer: Annotated[tuple[Identifier, ...], Field(max_length=10)] = ("cmdb_ci_vm_instance",)
    """Classes that stand for Azure resources, best first. Where several items fit equally well, as a virtual machine
    and the server that runs in it, an Azure resource id means the item of such a class, a host's name the other."""
    affected: Annotated[int, Field(ge=0, le=500)] = 100
    """Most affected configuration items (table ``task_ci``) that the bridge lists on one ticket: those of all further
    resources of an alert, and of the alerts that join a group. ``0``: none."""
    create_missing: bool = False
    """Create a configuration item for the Azure resource that a ticket is about, if the CMDB does not have it. Further
    resources of an alert are looked for only."""
    new_class: Annotated[Identifier, Field(alias="class")] = "cmdb_ci"
    """Class (table) of the items that ``create_missing`` creates."""


class Change(SettingsModel):
    """How change requests are made. A route may differ from it with the fields ``type`` and
    ``std_change_producer_version``."""

    api: Literal["table", "change_management"] = "table"
    """``table``: a new change is inserted into the table. ``change_management``: it is made by the Change Management
    API, which applies the standard change template. Everything that follows (reading, notes, states) goes through the
    Table API either way."""
    type: Literal["normal", "standard", "emergency"] | None = None
    """Type of change. Left out: the instance's default, normal."""
    template: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    """Name or sys_id of the template of standard changes (table ``std_change_record_producer``)."""

    @model_validator(mode="after")
    def _standard_has_a_template(self) -> Self:
        if self.type == "standard" and self.api == "change_management" and self.template is None:
            raise ValueError("a standard change is made from a template. Fix: name it under 'template'")
        return self


def _own_api(path: str) -> str:
    if path.lower().startswith("/api/now/"):
        raise ValueError("/api/now is ServiceNow's own. Fix: write the base path that the scripted REST service shows")
    return path


#: Path of a scripted REST resource.
ResourcePath = Annotated[
    str, Field(pattern=r"^/api(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,79}){2,7}$"), AfterValidator(_own_api)
]


class ProblemHandling(SettingsModel):
    """How problems are moved from state to state."""

    state_resource: ResourcePath | None = None
    """Path of the scripted REST resource that moves problems, for instances on which the Table API does not. Since
    release Rome it often takes a state and leaves the problem as it was. docs/servicenow.md has the script, to be
    pasted into the instance. Left out: where the instance does not move a problem, the problem gets a note that it is
    over and stays open, with a warning."""


class ImportSet(SettingsModel):
    """A staging table through which new tickets of a kind are written."""

    table: Identifier
    """Name of the staging table (it extends ``sys_import_set_row``). A transform map of it must lead to the table of
    the ticket, map ``correlation_id`` and ``correlation_display``, and coalesce on ``correlation_id``."""
    prefix: Annotated[str, Field(pattern=r"^[a-z0-9_]{0,40}$")] = "u_"
    """What its columns have before the names of the ticket's fields: ``u_short_description``."""


class ImportSets(SettingsModel):
    """Kinds of tickets that are created through an import set. Everything that follows (reading, notes, states) goes
    through the Table API either way."""

    incident: ImportSet | None = None
    """Of incidents. Left out: the Table API."""
    problem: ImportSet | None = None
    """Of problems. Left out: the Table API."""
    change_request: ImportSet | None = None
    """Of change requests. Left out: as ``change.api`` says."""


class ServiceNowSettings(ConnectionSettings):
    """A ServiceNow instance."""

    type: Literal["servicenow"]
    """servicenow"""
    url: Annotated[str, AfterValidator(instance_url)]
    """Address of the instance: https, host name, nothing else."""
    auth: Auth
    """How the bridge logs in."""
    max_in_flight: Annotated[int, Field(ge=1, le=16)] = 4
    """Most calls at the same time, over all workers. Where there are more workers than that, so many of them deliver
    and the others hand their messages on. An instance runs four REST calls per node at once and queues the rest."""
    batch: Literal["auto", "never"] = "auto"
    """``auto``: in a backlog, creates of severities 2 to 4 share calls of the Batch API, but only after ``bridge.py
    check --probe-writes`` has seen that this instance counts such a call as one, keeps the ids of the records and
    answers for each of them. ``never``: each create takes a call of its own."""
    connect_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=1))] = timedelta(
        seconds=10
    )
    """Longest wait for a connection."""
    read_timeout: Annotated[Duration, Field(ge=timedelta(seconds=1), le=timedelta(minutes=3))] = timedelta(seconds=70)
    """Longest wait for the next part of an answer. Keep it above 60s: that long may the instance take, and its
    verdict is worth waiting for."""
    ca_bundle: str | None = None
    """Path of a PEM file with further certificate authorities, for instances with a private certificate. The public
    ones stay trusted, and certificates are always verified."""
    allow_private_addresses: bool = False
    """Whether ``url`` may lead to a private, link-local or loopback address: for an instance that is reached through
    your own network. Otherwise nothing is sent there, whatever DNS says. Not needed where ``url`` is written as this
    machine (localhost, 127.0.0.1), which allows loopback addresses only."""
    references: dict[Identifier, Reference] = Field(default_factory=dict)
    """Reference fields whose values are names, in addition to the well-known ones (assignment_group, assigned_to,
    caller_id, opened_by, requested_by, business_service, company, location and more) or instead of them."""
    reference_ttl: Annotated[Duration, Field(le=timedelta(days=30))] = timedelta(hours=24)
    """How long the result of such a look-up is used again; a result of "not found" at most 10 minutes."""
    ci: ConfigurationItems = ConfigurationItems()
    """How the configuration item is found."""
    states: StateOverrides = StateOverrides()
    """States that differ from the base system's, and what they are called."""
    change: Change = Change()
    """How change requests are made."""
    problem: ProblemHandling = ProblemHandling()
    """How problems are moved."""
    import_set: ImportSets = ImportSets()
    """Creates tickets through import sets, where the instance lets integrations write staging tables only. Costs a
    look-up before and a read after each create. Left out: tickets are inserted directly."""

    @model_validator(mode="after")
    def _certificates_need_tls(self) -> Self:
        if isinstance(self.auth, MutualTls) and self.url.startswith("http:"):
            raise ValueError(
                "'auth' shows a client certificate, and an http address has no TLS to show it in. "
                "Fix: write url with https"
            )
        return self

    @model_validator(mode="after")
    def _changes_are_made_one_way(self) -> Self:
        if self.import_set.change_request is not None and self.change.api == "change_management":
            raise ValueError(
                "changes are created either through an import set or by the Change Management API. "
                "Fix: take out import_set.change_request, or write change.api: table"
            )
        return self

    @model_validator(mode="after")
    def _query_can_be_combined(self) -> Self:
        if self.export is not None and self.export.query:
            try:
                alternatives(self.export.query)
            except ValueError as error:
                raise ValueError(f"export.query: {error}") from None
        return self

    def state_names(self) -> Iterable[tuple[str, str]]:
        """See ``ConnectionSettings``."""
        kinds = (self.states.incident, self.states.problem, self.states.change_request)
        return [pair for kind in kinds for pair in (kind.shipped | kind.names).items()]
