"""Budgets: cost alerts of the common schema, and the older "AIP Budget Notification".

Sources: Microsoft Learn, "Sample alert payloads" (CostAlerts) and "Non-common alert schema definitions" (budget).
Amounts are text for people (``$11,111.00``) whatever the currency, and stay as given. Nothing ever resolves a budget:
a month is a new problem, so the UTC month belongs to the key, with what tells two thresholds of one budget apart.
"""

from __future__ import annotations

from datetime import datetime

from connectors.azure_monitor.payloads.common import Essentials, alert_builder, is_test_name
from connectors.microsoft.azure_resources import canonical, last_segment
from shared.core.payload_schema import Fields
from shared.core.signal import Signal
from shared.payloads.builder import SignalBuilder
from shared.payloads.keys import Unidentified, listed, make_key
from shared.payloads.values import given, number, object_of


def read_budget(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a cost alert says. ``context`` is the folded alertContext."""
    data = object_of(context.get("alertdata"))
    budget_id = given(data.get("budgetid"))
    name = given(data.get("budgetname")) or last_segment(budget_id)
    scope = given(data.get("scope"))
    _read_details(builder, data)
    builder.detail("budget", name)
    builder.detail("budget_id", budget_id)
    builder.detail("threshold", given(data.get("notificationthresholdamount")) or data.get("budgetthreshold"))
    builder.detail("budget_amount", data.get("budgetthreshold"))
    builder.detail("spent", data.get("spentamount"))
    _write_sentences(builder, name)
    if not builder.rule:
        builder.rule = name
    builder.resources.add(scope)
    builder.resources.add_all(essentials.targets)
    at = builder.fired_at or builder.received_at
    if budget_id:
        builder.key = _key(builder, canonical(budget_id), "", at)
    elif name:
        builder.key = _key(builder, canonical(scope), name, at)


def read_aip_budget(body: Fields, received_at: datetime) -> Signal:
    """Read an AIP budget notification. It has no time: the month of receipt counts.

    Raises:
        Unidentified: it names no budget.
    """
    builder = alert_builder("budget", received_at)
    data = object_of(body.get("data"))
    name = given(data.get("budgetname"))
    subscription, group = given(data.get("subscriptionid")), given(data.get("resourcegroup"))
    _read_details(builder, data)
    builder.detail("budget", name)
    builder.detail("threshold", data.get("notificationthresholdamount"))
    builder.detail("budget_amount", data.get("budget"))
    builder.detail("spent", data.get("spendingamount"))
    builder.detail("subscription_name", data.get("subscriptionname"))
    _write_sentences(builder, name)
    builder.rule = name
    scope = f"/subscriptions/{subscription}" if subscription else ""
    if scope and group:
        scope += f"/resourceGroups/{group}"
    billing = [given(data.get(part)) for part in ("billingaccountid", "billingprofileid", "invoicesectionid")]
    where = canonical(scope) or listed([part for part in billing if part])
    builder.resources.add(scope)
    builder.detail("scope", scope)
    if not name:
        raise Unidentified("it names no budget (BudgetName)")
    builder.key = _key(builder, where, name, builder.received_at)
    return builder.finish()


def _read_details(builder: SignalBuilder, data: Fields) -> None:
    builder.detail("budget_type", data.get("budgettype"))
    builder.detail("threshold_type", data.get("thresholdtype"))
    builder.detail("unit", data.get("unit"))
    builder.detail("scope", data.get("scope"))
    builder.detail("budget_creator", data.get("budgetcreator"))
    builder.detail("forecast", data.get("forecastedtotalforperiod"))
    builder.time_detail("budget_start", data.get("budgetstartdate"))


def _write_sentences(builder: SignalBuilder, name: str) -> None:
    details = builder.details
    forecast = details.get("threshold_type", "").lower() == "forecasted"
    words = "is forecast to exceed" if forecast else "has passed"
    limit = details.get("threshold", "")
    threshold = f" its threshold of {limit}" if limit else " its threshold"
    builder.heading = f"Budget {name} {words}{threshold}" if name else ""
    facts = []
    for label, detail in (("spent", "spent"), ("forecast", "forecast"), ("budget", "budget_amount")):
        if detail in details:
            facts.append(f"{label} {details[detail]}")
    unit = f" ({details['unit']})" if facts and "unit" in details else ""
    builder.condition = f"Budget{f' {name}' if name else ''} {words}{threshold}"
    if facts:
        builder.condition += f": {', '.join(facts)}{unit}"
    builder.test = builder.test or is_test_name(name)


def _key(builder: SignalBuilder, where: str, name: str, at: datetime) -> str:
    """Key of one threshold in one month: ``where`` is the budget's id, or its scope when it is known by ``name``."""
    details = builder.details
    return make_key(
        "budget",
        where,
        name,
        details.get("threshold_type", ""),
        _amount(details.get("threshold", "")),
        f"{at.year:04}-{at.month:02}",
    )


def _amount(value: str) -> str:
    """An amount without currency and separators, so that ``$1,000.00`` and ``1000`` are one threshold."""
    digits = value.replace(",", "").strip(" $€£¥")
    found = number(digits)
    return f"{found:.10g}" if found is not None else digits
