"""What has to wait is told so by an error of the common tree that carries its place in the line."""

from __future__ import annotations

from shared.core.errors import Throttled, Unavailable


class MustWait(Throttled):
    """The budget has no call for it now, or everybody pauses. Nothing was sent.

    ``retry_after`` is exact: the message's own turn. ``place`` must come back with the message (``Budget.admit``).
    """

    place: str = ""


class CircuitOpen(Unavailable):
    """The instance is asleep or unavailable, and somebody else tries it when that is due. Nothing was sent.

    ``retry_after`` and ``place`` as with :class:`MustWait`.
    """

    place: str = ""
