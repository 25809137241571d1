"""What lets the bridge in elsewhere, and until when: the secrets that the configuration names, and log-ins of people.

Everything here is read anew whenever it is asked for; ``credential_watch`` remembers it and warns.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel

from shared.core.errors import BridgeError, SecretUnavailable
from shared.core.log_in import LogIn
from shared.core.secrets import KnowsEnds, SecretEnd, SecretSource
from shared.core.settings import HoldsCertificate, HoldsConsent, SecretRef
from shared.platform.certificates import certificate_end

#: A warning is given when no more than so many days are left; 0: it has ended.
STEPS = (30, 14, 7, 1, 0)

#: Days from which on health says so.
UNWELL = 7

#: Secrets that are asked for at the same time.
_AT_ONCE = 4

CredentialKind = Literal["secret", "certificate", "log-in"]


@dataclass(frozen=True, slots=True)
class NamedSecret:
    """A secret that the configuration names.

    Attributes:
        name: of the secret. places: where, each as ``connections.desk.auth.password``.
        certificate: None for a secret that holds none; True where it must hold one; False where it may.
    """

    name: str
    places: tuple[str, ...]
    certificate: bool | None = None


@dataclass(frozen=True, slots=True)
class EndElsewhere:
    """What the other side shows of a secret.

    Attributes:
        ends: until when it accepts it, UTC. problem: why that could not be read now; empty when it could.
    """

    ends: datetime | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CredentialReading:
    """Something that lets the bridge in somewhere.

    Attributes:
        id: stable: ``secret:<name>`` or ``log-in:<connection>``.
        kind: ``secret``, ``certificate``, or ``log-in`` (what a person who consented gave).
        name: of the secret or connection. places: where the configuration names it.
        ends: the earliest end that is known, UTC; None when none is.
        advice: how it is replaced. problem: why its end could not be read now; empty when it could.
    """

    id: str
    kind: CredentialKind
    name: str
    places: tuple[str, ...]
    ends: datetime | None = None
    advice: str = ""
    problem: str = ""

    @property
    def connections(self) -> tuple[str, ...]:
        """The connections that log in with it."""
        found = [place.split(".")[1] for place in self.places if place.startswith("connections.")]
        return tuple(dict.fromkeys(found))

    @property
    def title(self) -> str:
        """For people: what it is and where it is used."""
        what = f"log-in of connection {self.name}" if self.kind == "log-in" else f"{self.kind} {self.name}"
        return f"{what} ({', '.join(self.places)})" if self.kind != "log-in" else what


def days_left(ends: datetime, now: datetime) -> int:
    """Whole days until then; negative or zero when less than a day is left or it has ended."""
    return (ends - now) // timedelta(days=1)


def step_of(ends: datetime | None, now: datetime) -> int | None:
    """The warning that is due: the smallest of :data:`STEPS` that has been reached; None for none."""
    if ends is None:
        return None
    left = ends - now
    return next((step for step in sorted(STEPS) if left <= timedelta(days=step)), None)


def until(ends: datetime, now: datetime) -> str:
    """``ends in 6 days``, ``ends in less than a day``, ``ended 2 days ago``."""
    left = days_left(ends, now)
    if ends <= now:
        ago = (now - ends) // timedelta(days=1)
        return f"ended {_days(ago)} ago" if ago else "ended less than a day ago"
    return f"ends in {_days(left)}" if left else "ends in less than a day"


def _days(count: int) -> str:
    return "1 day" if count == 1 else f"{count} days"


def named_secrets(config: BaseModel) -> list[NamedSecret]:
    """Every secret that a configuration names, each once, in the order of the file; not those that hold a person's
    consent, which :func:`log_in_credentials` finds. Pure."""
    found: dict[str, NamedSecret] = {}
    for place, ref, certificate in _walk(config, ""):
        before = found.get(ref.secret)
        if before is None:
            found[ref.secret] = NamedSecret(ref.secret, (place,), certificate)
        else:
            both = [one for one in (before.certificate, certificate) if one is not None]
            found[ref.secret] = NamedSecret(ref.secret, (*before.places, place), any(both) if both else None)
    return list(found.values())


def _walk(value: Any, place: str, certificate: bool | None = None) -> Iterator[tuple[str, SecretRef, bool | None]]:
    if isinstance(value, SecretRef):
        yield place, value, certificate
    elif isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            if any(isinstance(one, HoldsConsent) for one in field.metadata):
                continue
            marks = [one.always for one in field.metadata if isinstance(one, HoldsCertificate)]
            yield from _walk(getattr(value, name), f"{place}.{name}".lstrip("."), marks[0] if marks else None)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _walk(one, f"{place}.{name}", certificate)
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            yield from _walk(one, f"{place}[{index}]", certificate)


async def secret_credentials(named: Iterable[NamedSecret], secrets: SecretSource) -> list[CredentialReading]:
    """What is known of each secret, from where the secrets are. A failure is its ``problem``."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def read(one: NamedSecret) -> CredentialReading:
        async with turns:
            return await _read(one, secrets)

    return list(await asyncio.gather(*map(read, named)))


async def _read(named: NamedSecret, secrets: SecretSource) -> CredentialReading:
    said, problem = SecretEnd(), ""
    if isinstance(secrets, KnowsEnds):
        try:
            said = await secrets.end_of(named.name)
        except SecretUnavailable as error:
            problem = str(error)
    end = None
    if named.certificate is not None and not problem:
        try:
            end = certificate_end(await secrets.get(named.name, refresh=True))
        except SecretUnavailable as error:
            problem = str(error)
        except ValueError as error:
            problem = f"secret '{named.name}': {error}" if named.certificate else ""
    kind: CredentialKind = "certificate" if named.certificate or end is not None else "secret"
    return CredentialReading(
        id=f"secret:{named.name}",
        kind=kind,
        name=named.name,
        places=named.places,
        ends=min((one for one in (end, said.ends) if one is not None), default=None),
        advice=_advice(named.name, kind, said),
        problem=problem,
    )


def with_ends_elsewhere(
    found: Iterable[CredentialReading], elsewhere: Mapping[str, EndElsewhere]
) -> list[CredentialReading]:
    """Readings of secrets with what the other side shows of them. Pure.

    Where that could not be read now, the reading has a problem: whoever remembers an earlier end goes on with it.

    Args:
        found: the readings.
        elsewhere: by name of the secret.
    """
    whole = []
    for one in found:
        other = elsewhere.get(one.name) if one.id.startswith("secret:") else None
        if other is not None and other.problem:
            whole.append(replace(one, problem=one.problem or other.problem))
        elif other is not None and not one.problem:
            ends = [end for end in (one.ends, other.ends) if end is not None]
            whole.append(replace(one, ends=min(ends, default=None)))
        else:
            whole.append(one)
    return whole


def _advice(name: str, kind: CredentialKind, said: SecretEnd) -> str:
    """How it is replaced: where it is made first, where it is stored then."""
    stored = said.replace or f"store the new value under the name {name}"
    made = (
        "Have a new certificate signed and made known to the other side"
        if kind == "certificate"
        else "Make a new one on the other side"
    )
    return f"{made}; then: {stored}. The bridge takes the newest without a restart. See docs/operations.md, Credentials"


async def log_in_credentials(
    names: Iterable[str], log_in: Callable[[str], Awaitable[LogIn]]
) -> tuple[list[CredentialReading], list[str]]:
    """Log-ins that a person gave and that end, or that a person has to give; and the connections whose log-in cannot be
    read now.

    Args:
        names: of the connections.
        log_in: how one logs in; raises a BridgeError when that cannot be read.
    """
    found, unread = [], []
    for name in names:
        try:
            one = await log_in(name)
        except BridgeError:
            unread.append(name)
            continue
        if one.token_ends is not None or one.problem:
            advice = (
                f"Sign in again as {one.user or 'the integration user'}: bridge.py connect {name}. See "
                "docs/operations.md, Credentials"
            )
            places = (f"connections.{name}.auth",)
            found.append(
                CredentialReading(f"log-in:{name}", "log-in", name, places, one.token_ends, advice, one.problem)
            )
    return found, unread
