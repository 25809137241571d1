"""Links of a signal: only web addresses that are whole, absolute and free of surprises."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote, urlsplit

LONGEST = 4096

_PLAIN = re.compile(r"[A-Za-z0-9\-._~%!$&'()*+,;=:@/?#\[\]]+")
_SIMPLE_ID = re.compile(r"[A-Za-z0-9\-._~/]+")
_KEEP = "%!$&'()*+,;=:@/?#[]~"

#: Portals by the ending of the host names of their cloud (Microsoft Learn, "Compare Azure Government and global Azure",
#: "Azure China developer guide").
_PORTALS = {".us": "portal.azure.us", ".cn": "portal.azure.cn"}
_PORTAL = "portal.azure.com"

#: Blade that shows one alert; see Microsoft's own e-mail notifications of Azure Monitor.
_BLADE = "#blade/Microsoft_Azure_Monitoring_Alerts/AlertDetails.ReactView/alertId/"


def web_link(value: str) -> str:
    """A link that can be shown, ``""`` for anything that is no absolute http(s) address.

    Blanks and other characters that may not stand in an address are percent-encoded. An address with user
    information before its host is refused: it can look like one of Microsoft's and lead elsewhere.
    """
    if not value[:8].lower().startswith(("http://", "https://")):
        return ""
    if not _PLAIN.fullmatch(value):
        value = quote(value, safe=_KEEP)
    try:
        parts = urlsplit(value)
        host = parts.hostname
        parts.port  # noqa: B018 - reading it checks it: raises ValueError for a port that is no number
    except ValueError:
        return ""
    return value if host and "@" not in parts.netloc and "%" not in host else ""


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
