"""Whether an identity may do what cannot be tried without changing something."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.microsoft import ResourceManager
from connectors.microsoft.check_lines import CheckLines
from connectors.microsoft.permissions import ACTION, lacking, permissions_at
from shared.core.errors import SourceError

_UNKNOWN = f"Give the identity {ACTION} as well (Reader has it); only this check needs it."


async def allowed(
    manager: ResourceManager,
    subscription: str,
    actions: Sequence[str],
    lines: CheckLines,
    what: str,
    fix: str,
    before: str = "",
) -> None:
    """Add a line: whether the identity may do all of that in a subscription.

    Args:
        manager: signed in as the identity.
        subscription: id.
        actions: of resource providers.
        lines: takes it.
        what: name of the line.
        fix: what to do about actions that it may not do.
        before: what was seen, put before what is said.
    """
    try:
        found = await permissions_at(manager, f"/subscriptions/{subscription}")
    except SourceError as error:
        if error.status == 403:
            lines.warning(
                what, f"{before}rights could not be told: the identity may not read them ({ACTION})", _UNKNOWN
            )
        else:
            lines.error(what, error)
        return
    missing = lacking(found, actions)
    if missing:
        lines.failed(what, f"{before}the identity may not {', '.join(missing)} in subscription {subscription}", fix)
    else:
        lines.ok(what, f"{before}the identity may {', '.join(actions)}")
