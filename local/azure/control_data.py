"""The part of the control API that creates and changes the data of the clouds."""

from __future__ import annotations

from typing import Any

from local.azure.arm.alert_store import Alert
from local.azure.cloud import Cloud
from local.azure.demo.findings import populate
from local.azure.demo.inventory import more_subscriptions
from local.azure.directory import Grant, Secret
from local.azure.inventory import Resource, Subscription, type_of
from local.azure.logs.store import SavedResult
from local.azure.times import parse
from local.simulator_kit.control import Endpoints
from local.simulator_kit.people import mail_of


class DataControl:
    """Endpoints over the stores of one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def endpoints(self) -> Endpoints:
        """By method and path, with help."""
        return {
            ("GET", "inventory"): (
                self._inventory,
                "Tenants, subscriptions, identities, and how much there is of each kind.",
            ),
            ("POST", "populate"): (
                self._populate,
                '{"subscriptions": 50, "assessments": 200, "unhealthy": 0.5, "seed": 0, "tenant": ""}: add them.',
            ),
            ("POST", "subscriptions"): (self._subscription, '{"id", "name", "tenant", "groups": [], "state"}.'),
            ("POST", "resources"): (self._resource, '{"id", "type", "location", "tags": {}, "properties": {}}.'),
            ("POST", "health"): (self._health, '{"resource", "state": "Unavailable", "reason": "Unplanned"}.'),
            ("GET", "identities"): (self._identities, "Who there is, with roles; no secrets."),
            ("POST", "identities"): (
                self._identity,
                '{"identity", "secrets": [{"value", "expires": "<ISO time>"|null}]}: replace the secrets.',
            ),
            ("POST", "grants"): (
                self._grant,
                '{"identity", "tenant", "scope": "/", "actions": [], "not_actions": []} or {..., "api", "roles"}.',
            ),
            ("DELETE", "grants"): (
                self._revoke,
                '{"identity", "tenant", "scope", "actions": []}; without actions all at the scope, without scope '
                'everywhere; {..., "api"}: its app roles.',
            ),
            ("GET", "alerts"): (self._alerts, "Azure Monitor alerts with webhook body and history."),
            ("POST", "alerts"): (self._fire, "Fire one: resource, rule, severity ... (arm/alert_store.py)."),
            ("POST", "alerts/{id}"): (
                self._change_alert,
                '{"monitorCondition": "Resolved"}, or {"alertState", "by", "comments"} as a user in the portal.',
            ),
            ("DELETE", "alerts/{id}"): (self._delete_alert, "It is gone, as after 30 days."),
            ("POST", "assessments"): (
                self._assessment,
                '{"id"} or {"resource", "key"}, with "code", "cause", "displayName", "properties": make or flip one.',
            ),
            ("DELETE", "assessments"): (self._delete_assessment, '{"id"}: with its sub-assessments and assignments.'),
            ("POST", "subassessments"): (self._sub_assessment, "A sub-assessment as the REST API shows it."),
            ("DELETE", "subassessments"): (self._delete_sub_assessment, '{"id"}.'),
            ("POST", "security-alerts"): (self._security_alert, "A security alert as the REST API shows it."),
            ("DELETE", "security-alerts"): (self._delete_security_alert, '{"id"}.'),
            ("POST", "log-queries"): (
                self._log_query,
                '{"query", "columns": [{"name", "type"}], "rows": [[...]], "seconds", "partial", "error": "syntax"}: '
                'what a query gives in logs; with "resource_graph": true in Resource Graph.',
            ),
            ("DELETE", "log-queries"): (self._forget_log_queries, "All queries give an error again."),
            ("POST", "profiles"): (self._profile, '{"tenant", "id", ...}: make a control profile or merge into one.'),
            ("DELETE", "profiles/{id}"): (self._delete_profile, "A control vanishes; ?tenant=contoso."),
            ("POST", "scores"): (
                self._score,
                '{"tenant", "control", "score", ...}: today\'s score, or "remove": true.',
            ),
        }

    def _tenant(self, body: dict[str, Any]) -> str:
        text = str(body.get("tenant") or "contoso")
        found = self._cloud.tokens.directory.tenant(text)
        if found is None:
            raise KeyError(text)
        return found.id

    def _inventory(self, *_: Any) -> Any:
        cloud = self._cloud
        defender = cloud.defender
        return {
            "tenants": [{"id": one.id, "name": one.name} for one in cloud.tokens.directory.tenants],
            "subscriptions": [
                {"id": one.id, "name": one.name, "tenant": one.tenant, "groups": list(one.groups)}
                for one in cloud.inventory.subscriptions.values()
            ],
            "counts": {
                "resources": len(cloud.inventory.resources),
                "alerts": len(cloud.alerts.alerts),
                "assessments": len(defender.assessments),
                "sub_assessments": len(defender.sub_assessments),
                "governance_assignments": len(defender.governance),
                "security_alerts": len(defender.alerts),
            },
        }

    def _populate(self, body: dict[str, Any], *_: Any) -> Any:
        cloud = self._cloud
        tenant = next(one for one in cloud.tokens.directory.tenants if one.id == self._tenant(body))
        subscriptions = more_subscriptions(cloud.inventory, tenant, int(body.get("subscriptions", 50)))
        each, unhealthy, seed = body.get("assessments", 200), body.get("unhealthy", 0.5), body.get("seed", 0)
        now = cloud.clock.now()
        made = populate(cloud.inventory, cloud.defender, subscriptions, int(each), float(unhealthy), int(seed), now)
        return {"assessments": made, "subscriptions": [one.id for one in subscriptions]}

    def _log_query(self, body: dict[str, Any], *_: Any) -> Any:
        result = SavedResult(
            [{"name": str(one["name"]), "type": str(one.get("type", "string"))} for one in body.get("columns", ())],
            [list(row) for row in body.get("rows", ())],
            float(body.get("seconds", 0)),
            bool(body.get("partial", False)),
            str(body.get("error", "")),
        )
        store = self._cloud.graph_queries if body.get("resource_graph") else self._cloud.log_store
        store.save(_text(body, "query"), result)
        return {"rows": len(result.rows)}

    def _forget_log_queries(self, *_: Any) -> Any:
        return {"forgotten": self._cloud.log_store.clear() + self._cloud.graph_queries.clear()}

    def _subscription(self, body: dict[str, Any], *_: Any) -> Any:
        one = Subscription(
            _text(body, "id"),
            str(body.get("name") or body["id"]),
            self._tenant(body),
            tuple(str(group) for group in body.get("groups", ())),
            str(body.get("state", "Enabled")),
        )
        self._cloud.inventory.add_subscription(one)
        return {"id": one.id}

    def _resource(self, body: dict[str, Any], *_: Any) -> Any:
        resource = Resource(
            _text(body, "id"),
            str(body.get("type") or type_of(_text(body, "id"))),
            str(body.get("location", "westeurope")),
            dict(body.get("tags") or {}),
            dict(body.get("properties") or {}),
        )
        self._cloud.inventory.add_resource(resource)
        return {"id": resource.id, "type": resource.type}

    def _health(self, body: dict[str, Any], *_: Any) -> Any:
        return self._cloud.health.set(
            _text(body, "resource"), str(body.get("state", "Unavailable")), str(body.get("reason", "Unplanned"))
        )

    def _identities(self, *_: Any) -> Any:
        return {"identities": [one.as_json() for one in self._cloud.tokens.directory.principals]}

    def _identity(self, body: dict[str, Any], *_: Any) -> Any:
        name = _text(body, "identity")
        application = self._cloud.tokens.directory.application(name)
        if application is None:
            raise KeyError(name)
        secrets = []
        for one in body.get("secrets") or ():
            expires = parse(str(one["expires"])) if one.get("expires") else None
            secrets.append(Secret(_text(one, "value"), expires.timestamp() if expires else None))
        application.secrets = secrets
        return {"identity": application.name, "secrets": len(secrets)}

    def _grant(self, body: dict[str, Any], *_: Any) -> Any:
        found = self._cloud.tokens.directory.named(_text(body, "identity"), str(body.get("tenant") or ""))
        for one in found:
            if "api" in body:
                one.app_roles[str(body["api"])] = tuple(str(role) for role in body.get("roles") or ())
            else:
                actions, others = (
                    tuple(str(action) for action in body.get(name) or ()) for name in ("actions", "not_actions")
                )
                one.grants.append(Grant(str(body.get("scope") or "/"), actions, others))
        return {"identities": [one.as_json() for one in found]}

    def _revoke(self, body: dict[str, Any], *_: Any) -> Any:
        found = self._cloud.tokens.directory.named(_text(body, "identity"), str(body.get("tenant") or ""))
        scope, gone = (
            str(body.get("scope") or "").lower(),
            {str(action).lower() for action in body.get("actions") or ()},
        )
        for one in found:
            if "api" in body:
                one.app_roles.pop(str(body["api"]), None)
                continue
            for grant in list(one.grants):
                if scope and grant.scope.lower() != scope:
                    continue
                grant.actions = tuple(action for action in grant.actions if gone and action.lower() not in gone)
                if not grant.actions:
                    one.grants.remove(grant)
        return {"identities": [one.as_json() for one in found]}

    def _alerts(self, *_: Any) -> Any:
        store = self._cloud.alerts
        return {"alerts": [store.summary(alert) for alert in store.alerts.values()]}

    def _alert(self, name: str) -> Alert:
        return self._cloud.alerts.alerts[name.lower()]

    def _fire(self, body: dict[str, Any], *_: Any) -> Any:
        store = self._cloud.alerts
        return store.summary(store.fire(body))

    def _change_alert(self, body: dict[str, Any], _query: dict[str, str], tail: str) -> Any:
        store, alert = self._cloud.alerts, self._alert(tail)
        if "monitorCondition" in body:
            store.set_condition(alert, str(body["monitorCondition"]))
        elif body.get("alertState") in ("New", "Acknowledged", "Closed"):
            user = str(body.get("by", mail_of("lee.gu")))
            store.set_state(alert, str(body["alertState"]), user, str(body.get("comments", "")))
        else:
            raise ValueError("monitorCondition, or alertState: New, Acknowledged or Closed")
        return store.summary(alert)

    def _delete_alert(self, _body: dict[str, Any], _query: dict[str, str], tail: str) -> Any:
        del self._cloud.alerts.alerts[self._alert(tail).name]
        self._cloud.inventory.touch()
        return {"removed": tail}

    def _assessment(self, body: dict[str, Any], *_: Any) -> Any:
        return self._cloud.defender.change_assessment(body)

    def _delete_assessment(self, body: dict[str, Any], *_: Any) -> Any:
        self._cloud.defender.delete_assessment(_text(body, "id"))
        return {"removed": body["id"]}

    def _sub_assessment(self, body: dict[str, Any], *_: Any) -> Any:
        _text(body, "id")
        self._cloud.defender.put_sub_assessment(body)
        return body

    def _delete_sub_assessment(self, body: dict[str, Any], *_: Any) -> Any:
        del self._cloud.defender.sub_assessments[_text(body, "id").lower()]
        self._cloud.inventory.touch()
        return {"removed": body["id"]}

    def _security_alert(self, body: dict[str, Any], *_: Any) -> Any:
        _text(body, "id")
        self._cloud.defender.put_alert(body)
        return body

    def _delete_security_alert(self, body: dict[str, Any], *_: Any) -> Any:
        del self._cloud.defender.alerts[_text(body, "id").lower()]
        self._cloud.inventory.touch()
        return {"removed": body["id"]}

    def _profile(self, body: dict[str, Any], *_: Any) -> Any:
        tenant, name = self._tenant(body), _text(body, "id")
        scores = self._cloud.scores
        known = scores.profiles.get(tenant, {})
        template = known.get(name) or next(iter(known.values()), {})
        fresh = {} if name in known else {"title": name, "controlStateUpdates": [], "deprecated": False}
        changes = {key: value for key, value in body.items() if key != "tenant"}
        profile = {**template, **fresh, **changes, "azureTenantId": tenant}
        scores.put_profile(tenant, profile)
        return profile

    def _delete_profile(self, _body: dict[str, Any], query: dict[str, str], tail: str) -> Any:
        tenant = self._tenant(dict(query))
        del self._cloud.scores.profiles[tenant][tail]
        if tail in self._cloud.scores.scores.get(tenant, {}):
            self._cloud.scores.remove_score(tenant, tail)
        return {"removed": tail}

    def _score(self, body: dict[str, Any], *_: Any) -> Any:
        tenant, control = self._tenant(body), _text(body, "control")
        if body.get("remove"):
            self._cloud.scores.remove_score(tenant, control)
            return {"removed": control}
        changes = {key: value for key, value in body.items() if key not in ("tenant", "control")}
        return self._cloud.scores.set_score(tenant, control, changes)


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: a text is needed")
    return value
