"""The one file that names the connectors: which sources and ticket systems there are.

A webhook's cold start imports it: the sources' plug-ins are cheap, and ticket systems are imported when first asked
for.
"""

from __future__ import annotations

from connectors.azure_monitor import plugin as azure_monitor
from connectors.defender import plugin as defender
from connectors.secure_score import plugin as secure_score
from shared.core.payload_schema import Fields
from shared.core.plugins import Registry


def _foreign(body: Fields) -> str:
    from connectors.microsoft.foreign_payloads import foreign_reason

    return foreign_reason(body)


REGISTRY = Registry(
    sources=(azure_monitor.PLUGIN, defender.PLUGIN, secure_score.PLUGIN),
    ticket_system_modules=("connectors.servicenow.plugin",),
    foreign=_foreign,
)
