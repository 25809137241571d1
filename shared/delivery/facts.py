"""What every line of the log about a signal says of it."""

from __future__ import annotations

from typing import Any

from shared.core.messages import Envelope
from shared.platform.log import record


def facts(envelope: Envelope) -> dict[str, Any]:
    """Id, key and what the signal is."""
    signal = envelope.signal
    if signal is None:
        return {"id": envelope.id}
    return {
        "id": envelope.id,
        "key": signal.key,
        "source": signal.source,
        "kind": signal.kind,
        "state": signal.state.value,
        "severity": signal.severity,
        "title": signal.title,
    }


def accepted(envelope: Envelope, by: str = "webhook") -> None:
    """Note the beginning of a signal's road, and who put it there."""
    if envelope.signal is not None:
        record("accepted", **facts(envelope), by=by)
