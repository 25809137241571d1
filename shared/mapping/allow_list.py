"""What may become a ticket at all. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from shared.config.access import AcceptOnly
from shared.core.signal import UNKNOWN_PLACE, Signal
from shared.mapping.routes import matches_any

#: Code of what is kept in quarantine because of this.
NOT_ALLOWED = "not_allowed"

_SUBSCRIPTION = re.compile(r"^/?subscriptions/([^/]+)", re.ASCII | re.IGNORECASE)

#: Links into the portal name the tenant: ``https://portal.azure.com/#@contoso.example/...``.
_TENANT = re.compile(r"#@([^/?#]{1,253})")

_QUOTED = 200


def not_allowed(signal: Signal, rules: AcceptOnly | None) -> str | None:
    """Why a signal must not become a ticket, as a sentence that names the condition; None when it may.

    What Azure fills in is looked at (ids of alert, rule and resources), never what the author of a rule writes freely.
    """
    if rules is None:
        return None
    for name in ("subscriptions", "resource_groups"):
        if UNKNOWN_PLACE in signal.unlisted and getattr(rules, name) is not None:
            return f"accept_only.{name}: the alert lists more resources than can be checked"
    return (
        _outside("tenants", rules.tenants, _tenants(signal), needed=False)
        or _outside("subscriptions", rules.subscriptions, _subscriptions(signal))
        or _outside("resource_groups", rules.resource_groups, _resource_groups(signal))
        or _outside("rules", rules.rules, _rules(signal), enough=any)
    )


def _outside(
    name: str,
    patterns: str | list[str] | None,
    values: Iterable[str | None],
    *,
    needed: bool = True,
    enough: Callable[[Iterable[bool]], bool] = all,
) -> str | None:
    if patterns is None:
        return None
    matches = matches_any(patterns)
    found = list(values)
    named = [value for value in found if value]
    if not named:
        return f"accept_only.{name}: the alert names none" if needed else None
    if enough(matches(value) for value in named) and not (needed and enough is all and len(named) < len(found)):
        return None
    wrong = next((value for value in named if not matches(value)), "one without")
    return f"accept_only.{name} does not allow '{wrong[:_QUOTED]}'"


def _tenants(signal: Signal) -> list[str | None]:
    return [found[1] for link in signal.links.values() if (found := _TENANT.search(link))]


def _subscriptions(signal: Signal) -> list[str | None]:
    """Of the alert, its rule and its resources. Bare names of things have none and are passed over."""
    ids = [signal.rule_id, signal.details.get("alert_id"), signal.details.get("origin_alert_id")]
    found: list[str | None] = [match[1] for text in ids if text and (match := _SUBSCRIPTION.match(text))]
    found += [r.subscription_id for r in signal.resources if r.subscription_id]
    return found + [subscription for subscription, _ in _unlisted(signal) if subscription]


def _resource_groups(signal: Signal) -> list[str | None]:
    """Of the resources that Azure knows by id; bare names of things are passed over."""
    listed = [r.resource_group for r in signal.resources if r.id or r.resource_group]
    return listed + [group or None for _, group in _unlisted(signal)]


def _unlisted(signal: Signal) -> list[tuple[str, str]]:
    """Subscription and resource group of the resources that the signal has no room for."""
    places = [place.partition("/") for place in signal.unlisted if place != UNKNOWN_PLACE]
    return [(subscription, group) for subscription, _, group in places]


def _rules(signal: Signal) -> list[str | None]:
    return [signal.rule, signal.rule_id]
