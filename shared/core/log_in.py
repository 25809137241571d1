"""How a connection logs in, told without any secret."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogIn:
    """How a connection logs in: as whom, and until when that works without a person. It never holds a secret.

    Attributes:
        kind: way to log in, the ``type`` under ``auth``.
        user: whom the connection acts as, as far as the configuration says, or the account with which a person
            consented: a user name, or the client that stands for one; empty where only the system knows (a bare API
            key).
        token_ends: until when a log-in that a person gave lasts (the end of its refresh token), UTC. None where tokens
            are fetched anew with secrets of the configuration, or no end is known.
        secret_ends: the earliest end of a secret or certificate that the log-in uses, UTC; None when none is known.
            A connector fills in only what nobody else can know: the bridge itself adds what the key vault and the
            certificates say of the secrets that the configuration names.
        access_ends: when the access token that all workers use now ends, UTC. It is renewed by itself. None where there
            is none, or each process has its own.
        problem: why ``token_ends`` cannot be read, or why there is no log-in; for people.
    """

    kind: str
    user: str = ""
    token_ends: datetime | None = None
    secret_ends: datetime | None = None
    access_ends: datetime | None = None
    problem: str = ""
