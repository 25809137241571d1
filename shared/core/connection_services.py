"""What the engine gives to the ticket system of a connection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.core.findings import Findings
    from shared.core.rate_gate import RateGate
    from shared.core.secrets import SecretSource
    from shared.core.tokens import TokenStore


@dataclass(frozen=True, slots=True)
class ConnectionServices:
    """What the engine gives to the ticket system of a connection.

    Attributes:
        secrets: the secrets that its settings name.
        gate: every call passes it; None: only the connection's own limit of calls in flight counts.
        findings: where its check keeps what it has seen.
        tokens: where workers share the tokens of a log-in.
    """

    secrets: SecretSource
    gate: RateGate | None
    findings: Findings
    tokens: TokenStore
