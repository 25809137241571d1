"""How a connection logs in, told without any secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogIn:
    """How a connection logs in: as whom, and until when that works without a person. It never holds a secret.

    Attributes:
        kind: way to log in, the ``type`` under ``auth``.
        user: whom the connection acts as, as far as the configuration or the person who consented says: a user name,
            or the client that stands for one; empty where only the system knows (a bare API key).
        token_ends: until when a log-in that a person gave lasts (the end of its refresh token), UTC. None where tokens
            are fetched anew with secrets of the configuration, or no end is known.
        secret_ends: the earliest end of a secret or certificate that the log-in uses, UTC; None when none is known.
            A connector fills in only what nobody else can know: the bridge itself adds what the key vault and the
            certificates say of the secrets that the configuration names.
    """

    kind: str
    user: str = ""
    token_ends: datetime | None = None
    secret_ends: datetime | None = None
