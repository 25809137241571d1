"""Who is calling: the user behind a request with roles, groups and time zone, and the service that knows them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from local.servicenow.properties import Properties
from local.servicenow.store import Row, Store


@dataclass(frozen=True, slots=True)
class Identity:
    """A signed-in user.

    ``method`` is how they signed in (basic, oauth, api_key, certificate, session, system), ``client_id`` the OAuth
    client.
    """

    sys_id: str
    user_name: str
    name: str
    roles: frozenset[str]
    groups: tuple[str, ...] = ()
    zone: tzinfo = UTC
    date_format: str = "yyyy-MM-dd"
    time_format: str = "HH:mm:ss"
    method: str = "system"
    client_id: str = ""
    scopes: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles

    def has(self, *roles: str) -> bool:
        """True for admins and for holders of one of the roles."""
        return self.is_admin or not self.roles.isdisjoint(roles)


#: Scheduled jobs and rules act as this user, who is above access rules.
SYSTEM = Identity("", "system", "System", frozenset({"admin"}))

_TABLES = ("sys_user", "sys_user_has_role", "sys_user_grmember", "sys_group_has_role", "sys_user_role_contains")


class Accounts:
    """Looks users up and works out their roles; answers are kept until a user, role or group changes."""

    def __init__(self, store: Store, properties: Properties) -> None:
        self._store = store
        self._properties = properties
        self._version = -1
        self._known: dict[str, Identity] = {}

    def user(self, user_name: str) -> Row | None:
        """The sys_user row of a user name, whatever its state."""
        found = self._store.lookup("sys_user", "user_name", user_name)
        return found[0] if found else None

    def version(self) -> int:
        """Grows when any user, role or membership changes."""
        return self._store.version(*_TABLES, "sys_properties")

    def identity(self, sys_id: str) -> Identity | None:
        """The user as caller, None when there is no such user; says nothing about active or locked."""
        version = self.version()
        if version != self._version:
            self._known.clear()
            self._version = version
        known = self._known.get(sys_id)
        if known is None:
            row = self._store.get("sys_user", sys_id)
            if row is None:
                return None
            known = self._known[sys_id] = self._build(row)
        return known

    def _build(self, row: Row) -> Identity:
        memberships = self._store.lookup("sys_user_grmember", "user", row.sys_id) or []
        groups = tuple(link.get("group") for link in memberships)
        role_ids = {link.get("role") for link in self._store.lookup("sys_user_has_role", "user", row.sys_id) or []}
        for group in groups:
            role_ids |= {link.get("role") for link in self._store.lookup("sys_group_has_role", "group", group) or []}
        roles = self._role_names(role_ids)
        zone_name = row.get("time_zone") or self._properties.get("glide.sys.default.tz")
        return Identity(
            sys_id=row.sys_id,
            user_name=row.get("user_name"),
            name=row.get("name"),
            roles=frozenset(roles),
            groups=groups,
            zone=_zone(zone_name),
            date_format=row.get("date_format") or self._properties.get("glide.sys.date_format", "yyyy-MM-dd"),
            time_format=row.get("time_format") or self._properties.get("glide.sys.time_format", "HH:mm:ss"),
        )

    def _role_names(self, role_ids: set[str]) -> set[str]:
        contained: dict[str, set[str]] = {}
        for link in self._store.scan("sys_user_role_contains"):
            contained.setdefault(link.get("role"), set()).add(link.get("contains"))
        pending, seen = set(role_ids), set(role_ids)
        while pending:
            inner = set().union(*(contained.get(role, set()) for role in pending)) - seen
            seen |= inner
            pending = inner
        rows = (self._store.get("sys_user_role", role_id) for role_id in seen if role_id)
        return {row.get("name") for row in rows if row is not None}


def password_hash(sys_id: str, password: str) -> str:
    """What the password column stores: salted with the account's id, so that equal passwords look different."""
    return hashlib.sha256(f"{sys_id.lower()}:{password}".encode()).hexdigest()


def _zone(name: str) -> tzinfo:
    if not name or name == "GMT":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
