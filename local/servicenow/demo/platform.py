"""Platform records of the demo data: properties, OAuth clients and keys, transform maps, change models, log lines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from local.servicenow.demo.people import BRIDGE_USER, group_id, user_id
from local.servicenow.schema.describe import demo_id, system_row, words
from local.servicenow.store import Row
from local.servicenow.stored_time import to_stored
from local.simulator_kit.certificates import CLIENT_CERTIFICATE_SUBJECT

#: Instance properties with their starting values. Several are absent on a fresh instance; here they are spelled out.
PROPERTIES = {
    "glide.sys.default.tz": "America/Los_Angeles",
    "glide.sys.date_format": "yyyy-MM-dd",
    "glide.sys.time_format": "HH:mm:ss",
    "glide.oauth.inbound.client.credential.grant_type.enabled": "true",
    "glide.oauth.inbound.ropc.grant_type.disabled": "false",
    "glide.security.oauth_allow_unscoped_clients": "false",
    "glide.authenticate.basic_auth.restriction.default_decision": "allow",
    "glide.invalid_query.returns_no_rows": "false",
    "glide.rest.max_content_length": "10485760",
    "glide.rest.batch.max.inputSize": "5242880",
    "glide.rest.batch.max.outputSize": "10485760",
    "com.glide.attachment.max_size": "1024",
    "glide.ui.autoclose.time": "0",
    "glide.buildname": "Zurich",
    "glide.product.name": "ServiceNow simulator",
    "instance_name": "contoso",
    "problem.closed.role.reanalyze_fix_applied": "problem_manager",
    "problem.closed.role.reanalyze_risk_accepted": "problem_manager",
}


@dataclass(frozen=True, slots=True)
class OAuthClient:
    """An application registry record of the demo data."""

    name: str
    client_id: str
    client_secret: str
    application_user: str = ""
    scope_restriction: str = "broadly_scoped"


BROAD = OAuthClient("Azure Bridge", demo_id("client", "broad"), "demo-client-secret", BRIDGE_USER)
SCOPED = OAuthClient(
    "Azure Bridge (scoped)", demo_id("client", "scoped"), "demo-scoped-secret", BRIDGE_USER, "securely_scoped"
)
USERLESS = OAuthClient("Reporting", demo_id("client", "userless"), "demo-userless-secret")
CLIENTS = (BROAD, SCOPED, USERLESS)

API_KEY = "demo-api-key-of-azure-bridge"
JWT_KEY_ID = "demo-jwt-key"

#: transform map -> (staging table, target table, {target: source}, coalesced target)
_MAPS = {
    "OMS Incident": (
        "x_mioms_microsoft_oms_incident",
        "incident",
        {
            name: name
            for name in words(
                """
                short_description description urgency impact category subcategory assignment_group assigned_to
                caller_id cmdb_ci contact_type correlation_id correlation_display state work_notes comments
                close_code close_notes
                """
            )
        },
        "correlation_id",
    ),
    "Azure Incident": (
        "u_azure_incident",
        "incident",
        {
            name: f"u_{name}"
            for name in words(
                """
                short_description description impact urgency category assignment_group cmdb_ci work_notes state
                close_code close_notes parent correlation_id correlation_display
                """
            )
        },
        "correlation_id",
    ),
    "Elastic Incident": (
        "x_elas2_inc_int_elastic_incident",
        "incident",
        {
            "sys_id": "elastic_incident_id",
            **{
                name: f"u_{name}"
                for name in words(
                    """
                short_description description urgency severity impact category subcategory state close_code
                close_notes comments work_notes correlation_id correlation_display caller_id
                """
                )
            },
        },
        "sys_id",
    ),
}


def rows(public_key: str) -> Iterator[Row]:
    """All rows of this part; ``public_key`` (PEM) verifies the JWTs of the demo client."""
    for name, value in PROPERTIES.items():
        values = {"name": name, "value": value, "type": "string", "sys_class_name": "sys_properties", "sys_name": name}
        yield system_row("sys_properties", name, values)
    yield from _sign_in(public_key)
    yield from _transforms()
    for kind in ("normal", "standard", "emergency"):
        values = {"name": kind.capitalize(), "active": "true", "type": kind}
        yield system_row("chg_model", kind, values)
    for name in ("Change the firewall rules", "Reboot a virtual machine"):
        # A template has a record producer with its name, and versions whose names say which one they are.
        ids = {
            "current_version": demo_id("std_change_producer_version", name),
            "std_change_producer": demo_id("std_change_record_producer", name),
        }
        producer = {"name": name, "active": "true", "current_version": ids["current_version"]}
        yield system_row("std_change_record_producer", name, producer)
        version = {"name": f"{name} - 1", "version": "1", "active": "true"}
        version |= {"std_change_producer": ids["std_change_producer"]}
        yield system_row("std_change_producer_version", name, version)
    yield from _form_templates()
    for name in ("alm_asset", "bsm_chart"):
        yield system_row(name, "demo", {"name": "Demo", "display_name": "Demo"})
    start = datetime(2025, 3, 1, tzinfo=UTC)
    for index in range(700):
        at = to_stored(start + timedelta(minutes=index))
        values = {"level": "0", "message": f"Scheduled job {index} finished", "source": "scheduler"}
        yield system_row("syslog", str(index), {**values, "sys_created_on": at, "sys_updated_on": at})


def _sign_in(public_key: str) -> Iterator[Row]:
    for client in CLIENTS:
        yield system_row(
            "oauth_entity",
            client.name,
            {
                "name": client.name,
                "sys_class_name": "oauth_entity",
                "sys_name": client.name,
                "client_id": client.client_id,
                "client_secret": client.client_secret,
                "type": "client",
                "active": "true",
                "access_token_lifespan": "1800",
                "refresh_token_lifespan": "8640000",
                "user": user_id(client.application_user) if client.application_user else "",
                "scope_restriction": client.scope_restriction,
                "scopes": "useraccount" if client.scope_restriction == "broadly_scoped" else "",
                "public_client": "false",
                "redirect_url": "https://contoso.example/callback,http://127.0.0.1:8400/",
            },
        )
    verifier = {
        "name": "Azure Bridge",
        "kid": JWT_KEY_ID,
        "oauth_jwt": demo_id("oauth_entity", BROAD.name),
        "user_field": "user_name",
        "public_key": public_key,
        "enable_jti_verification": "true",
        "clock_skew": "300",
    }
    yield system_row("jwt_verifier_map", "bridge", verifier)
    key = {"name": "Azure Bridge", "token": API_KEY, "user": user_id(BRIDGE_USER), "active": "true"}
    yield system_row("api_key", "bridge", {**key, "auth_scope": "useraccount"})
    certificate = {"name": "Azure Bridge", "subject": CLIENT_CERTIFICATE_SUBJECT, "active": "true"}
    yield system_row("sys_user_certificate", "bridge", {**certificate, "user": user_id(BRIDGE_USER)})


def _form_templates() -> Iterator[Row]:
    """Form templates as people save them from a form: references are ids, and the string ends with ``^EQ``."""
    for name, table, values in (
        ("Azure incident", "incident", f"category=network^urgency=1^assignment_group={group_id('Network')}^EQ"),
        ("Azure problem", "problem", "impact=1^urgency=1^category=software^EQ"),
        ("Contoso defaults", "global", "contact_type=email^EQ"),
    ):
        template = {"name": name, "table": table, "active": "true", "global": "true", "template": values}
        yield system_row("sys_template", name, template)


def _transforms() -> Iterator[Row]:
    for name, (staging, target, fields, coalesced) in _MAPS.items():
        common = {"source_table": staging, "target_table": target}
        values = {**common, "name": name, "active": "true", "order": "100", "sys_class_name": "sys_transform_map"}
        yield system_row("sys_transform_map", name, {**values, "copy_empty_fields": "false", "sys_name": name})
        for target_field, source_field in fields.items():
            entry = {
                **common,
                "map": demo_id("sys_transform_map", name),
                "source_field": source_field,
                "target_field": target_field,
                "coalesce": "true" if target_field == coalesced else "false",
                "sys_class_name": "sys_transform_entry",
            }
            yield system_row("sys_transform_entry", f"{name}:{target_field}", entry)
