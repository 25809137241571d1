"""What tests of withdrawals have in common: the request, and events of findings that come in afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from connectors.defender.assignments.assignment import Assignment
from shared.core.messages import SignalMessage
from shared.core.signal import Signal, SignalState
from tests.asking import ask
from tests.defender_assignments.house import DISKS, House
from tests.payloads.support import parse

PATCHES = str(uuid5(NAMESPACE_URL, "assessment of patches"))
HOUR = timedelta(hours=1)
WHY = {"by": "Grace Moreau", "reason": "the machine moves to another team"}
SAID = "Withdrawn by Grace Moreau: the machine moves to another team."
RULE = {"name": "all", "owner": {"value": "david.loo"}, "days": 7}


async def withdraw(house: House, **body: Any) -> tuple[int, dict[str, Any]]:
    """POST /api/assignments/withdraw: the disks of the machine, unless the body says otherwise."""
    which = {} if {"recommendation", "resources", "integration"} & set(body) else {"keys": [house.key()]}
    given = {name: value for name, value in {**which, **WHY, **body}.items() if value is not None}
    response = await ask(house.defender.withdraw, given)
    return response.status, dict(response.body)


async def signal_of(house: House, resource: str, key: str = DISKS) -> Signal:
    """What Resource Manager says of a recommendation now."""
    origin = f"{resource}/providers/Microsoft.Security/assessments/{key}"
    (signal,) = parse(await house.defender.clouds.assessments(resource).get(origin), house.now)
    assert isinstance(signal, Signal)
    return signal


async def push(house: House, *signals: Signal) -> None:
    """Signals come in by the webhook, and the worker takes them."""
    for signal in signals:
        await house.line.send(SignalMessage(id=uuid4().hex, received_at=house.now, signal=signal))
        await house.work_off()


def later(signal: Signal, by: timedelta, state: SignalState = SignalState.FIRED) -> Signal:
    """Another event of the same finding."""
    moment = signal.occurred_at + by
    if state is SignalState.RESOLVED:
        return replace(signal, state=state, occurred_at=moment, resolved_at=moment, details={"resolution": "healthy"})
    return replace(signal, occurred_at=moment)


async def known(house: House, resource: str = "", key: str = DISKS) -> Assignment:
    found = await house.assignment(resource, key)
    assert found is not None
    return found
