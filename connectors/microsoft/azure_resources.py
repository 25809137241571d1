"""Azure resources in payloads: ids taken apart, the list that shows each of them once, and pages of the portal.

ARM ids compare case-insensitively and are kept as first spelt (Microsoft Learn, "Naming rules and restrictions for
Azure resources"). An id is read by walking the pairs of type and name after its last ``/providers/``: nested types,
extension resources and ids without a resource group all break index arithmetic.

A nested resource is named as templates of Azure name it, with its parents: ``stshop/default``. Its last segment alone
(``default``, ``0``, ``master``) names nothing: thousands of other things are called the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from urllib.parse import quote, urlsplit

from shared.core.signal import Resource
from shared.payloads.values import given, line

#: Things that collect signals of others: shown only where nothing better is known, the lower number first.
_COLLECTORS = {
    "microsoft.operationalinsights/workspaces": 1,
    "microsoft.monitor/accounts": 1,
    "microsoft.recoveryservices/vaults": 1,
    "microsoft.dataprotection/backupvaults": 1,
    "microsoft.security/locations/alerts": 1,
    "microsoft.insights/autoscalesettings": 1,
    "microsoft.resources/resourcegroups": 2,
    "microsoft.resources/subscriptions": 3,
}

_SIMPLE_ID = re.compile(r"[A-Za-z0-9\-._~/]+")

#: Portals by the ending of the host names of their cloud (Microsoft Learn, "Compare Azure Government and global Azure",
#: "Azure China developer guide").
_PORTALS = {".us": "portal.azure.us", ".cn": "portal.azure.cn"}
_PORTAL = "portal.azure.com"

#: Blade that shows one alert; see Microsoft's own e-mail notifications of Azure Monitor.
_BLADE = "#blade/Microsoft_Azure_Monitoring_Alerts/AlertDetails.ReactView/alertId/"

#: Items of one array of resources that are read. All of them are read, because the allow-list has to know them; the
#: largest alert of Azure has room for fewer.
MOST_LISTED = 5_000

_LONGEST_ID = 1024
_OVERLONG = "A resource id longer than any that Azure gives was left out."
_LONGEST_NAME = 256


def is_id(value: str) -> bool:
    """Whether a text is an ARM id, with or without its leading slash, rather than the bare name of something."""
    low = value.lower()
    return low.lstrip("/").startswith(("subscriptions/", "providers/")) or "/providers/" in low


def canonical(value: str) -> str:
    """The form in which two spellings of one id are equal: lower case, no empty segments, a leading slash."""
    low = value.lower().strip()
    rooted = low.startswith(("/", "subscriptions/", "providers/"))
    low = low.strip("/ ")
    if "//" in low:
        low = "/".join(filter(None, low.split("/")))
    return f"/{low}" if rooted and low else low


@lru_cache(maxsize=512)
def parse_id(value: str) -> Resource:
    """Take an ARM id apart, spelt as in the id. ``type`` is the full nested type, ``name`` that of all its parts."""
    value = value.rstrip("/ ")
    segments = [*filter(None, value.split("/"))]
    low = [*filter(None, value.lower().split("/"))]
    scope = low.index("providers") if "providers" in low else len(low)
    name = segments[-1] if segments else None
    subscription = _after("subscriptions", low[:scope], segments)
    group = _after("resourcegroups", low[:scope], segments)
    if scope < len(low):
        after = segments[_last(low) :]
        # namespace, then pairs of type and name; an id that lacks a type segment still ends in a name
        type_ = "/".join((after[0], *after[1:-1:2])) if after else None
        name = _full_name(segments, low, after)
    elif group:
        type_ = "Microsoft.Resources/resourceGroups"
    else:
        type_ = "Microsoft.Resources/subscriptions" if subscription else None
    return Resource(
        id=value,
        name=name,
        type=type_,
        resource_group=group,
        subscription_id=subscription,
    )


def _full_name(segments: list[str], low: list[str], after: list[str]) -> str:
    """Names of a resource and of what it is nested in; of an extension also of the resource that it extends.

    Args:
        segments: of the whole id. low: the same in lower case.
        after: segments after the last ``providers``.
    """
    if len(after) % 2 == 0 or len(after) < 3:
        return segments[-1]  # a segment is missing: only the last name is sure
    names = after[2::2]
    before = segments[: len(segments) - len(after) - 1]
    if "providers" in low[: len(before)]:  # an extension of a resource
        names = [_full_name(before, low[: len(before)], before[_last(low[: len(before)]) :]), *names]
    return "/".join(names) or segments[-1]


def _last(low: list[str]) -> int:
    """Position after the last ``providers``."""
    return len(low) - low[::-1].index("providers")


def _after(word: str, low: list[str], segments: list[str]) -> str | None:
    """The segment after a word of the scope."""
    position = low.index(word) + 1 if word in low else len(low)
    return segments[position] if position < len(low) else None


def is_precise(value: str) -> bool:
    """Whether a text is the id of a thing itself rather than of what collects its signals."""
    return is_id(value) and (parse_id(value).type or "").lower() not in _COLLECTORS


def last_segment(value: str) -> str:
    """The last segment of an id or path, ``""`` when there is none."""
    return value.rstrip("/ ").rpartition("/")[2]


def subscription_of(value: str) -> str:
    """The subscription's id in an ARM id, ``""`` when it names none."""
    return (parse_id(value).subscription_id or "") if is_id(value) else ""


class ResourceList:
    """Collects affected resources in the order of their worth, each once however often and however spelt."""

    def __init__(self) -> None:
        self._found: dict[str, Resource] = {}
        self._collectors: dict[str, Resource] = {}
        self._aliases: set[str] = set()
        #: What was left out, one sentence.
        self.warning = ""
        #: Whether something was left out of which nothing is known.
        self.incomplete = False

    def add(self, value: object) -> None:
        """Add an id or a bare name; whatever means nothing is passed over."""
        if isinstance(value, dict | list):
            return
        found = line(given(value))
        if not found.strip("/"):
            return
        if len(found) > _LONGEST_ID:
            self.warning, self.incomplete = _OVERLONG, True
            return
        if not is_id(found):
            name = found[:_LONGEST_NAME]
            self._found.setdefault("\0" + name.lower(), Resource(id=None, name=name))
            return
        key = canonical(found)
        if key in self._found or key in self._collectors:
            return
        resource = parse_id(found)
        if resource.type is not None and resource.type.lower() in _COLLECTORS:
            self._collectors[key] = resource
        else:
            self._found[key] = resource

    def add_known(self, resource: Resource) -> None:
        """Add a resource whose name and type the sender tells apart from its id, which may be another cloud's."""
        if not resource.name:
            return
        if len(resource.id or "") > _LONGEST_ID:
            self.warning, self.incomplete = _OVERLONG, True
            return
        name = resource.name[:_LONGEST_NAME]
        key = canonical(resource.id or "") or "\0" + name.lower()
        self._found.setdefault(key, replace(resource, name=name))

    def add_all(self, values: object) -> None:
        """Add the items of an array, or the one value given instead of an array."""
        listed = values if isinstance(values, list) else [values]
        self.incomplete = self.incomplete or len(listed) > MOST_LISTED
        for value in listed[:MOST_LISTED]:
            self.add(value)

    def alias(self, value: object) -> None:
        """Note a name that is known to mean a resource listed by its id, so that it is not listed again."""
        self._aliases.add(line(given(value)).lower())

    @property
    def vague(self) -> bool:
        """Whether nothing but collectors (workspaces, vaults, groups, subscriptions) is known so far."""
        return not self._found

    def result(self) -> list[Resource]:
        """Those known by id or name, without bare names of listed resources; else the closest collector."""
        if len(self._found) == 1 and not self._collectors and not self._aliases:
            return list(self._found.values())
        named = {_short_name(r): key for key, r in reversed(self._found.items()) if r.id}
        collectors = {_short_name(r) for r in self._collectors.values()}
        ordered: dict[str, Resource] = {}
        for key, resource in self._found.items():
            name = (resource.name or "").lower()
            if resource.id:
                ordered.setdefault(key, resource)
            elif name in named:
                ordered.setdefault(named[name], self._found[named[name]])
            elif name not in collectors and name not in self._aliases:
                ordered[key] = resource
        return list(ordered.values()) or self._closest()

    def title_name(self, resource: Resource) -> str:
        """The name of a resource for a title, ``""`` for a subscription: its name is a GUID that tells nothing."""
        if resource.type is not None and resource.type.lower() == "microsoft.resources/subscriptions":
            return ""
        return resource.name or ""

    def _closest(self) -> list[Resource]:
        best = min(map(_rank, self._collectors.values()), default=0)
        return [r for r in self._collectors.values() if _rank(r) == best]


def _short_name(resource: Resource) -> str:
    """The last part of a name, by which payloads list an affected item again beside its id."""
    return (resource.name or "").rpartition("/")[2].lower()


def _rank(resource: Resource) -> int:
    return _COLLECTORS[(resource.type or "").lower()]


def host_of(value: str) -> str:
    """Host name of a link, lower case, ``""`` when it has none."""
    try:
        return urlsplit(value).hostname or ""
    except ValueError:
        return ""


def portal_host(links: Iterable[str]) -> str:
    """Portal of the cloud that the other links of a payload belong to."""
    for link in links:
        ending = host_of(link)[-3:]
        if ending in _PORTALS:
            return _PORTALS[ending]
    return _PORTAL


def alert_link(alert_id: str, host: str) -> str:
    """The page of an alert in the Azure portal, for an id of Microsoft.AlertsManagement."""
    path = "/" + alert_id.strip("/")
    encoded = path.replace("/", "%2F") if _SIMPLE_ID.fullmatch(path) else quote(path, safe="")
    return f"https://{host}/{_BLADE}{encoded}"
