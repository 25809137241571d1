"""Identity of findings: which resource, which assessment; and the keys that follow.

A recommendation's ``name`` is the key of the assessment and the same for every resource that has the finding; its
``id`` is sometimes scoped to the resource group only. So the identity is the resource together with the name.

A machine outside of Azure may have no resource id: its findings name a subscription, a workspace or nothing, and the
machine stands in ``resourceDetails`` (``vmuuid``, ``sourceComputerId``, ``machineName``; of a database ``serverName``
and ``databaseName`` too). Then these are part of the identity, so that two machines never share a key. Source: Azure
REST API specifications, Microsoft.Security, "OnPremiseResourceDetails", "OnPremiseSqlResourceDetails".
"""

from __future__ import annotations

from typing import NamedTuple

from connectors.microsoft.azure_resources import canonical, is_id, is_precise, last_segment, parse_id
from shared.core.payload_schema import Fields
from shared.payloads.keys import Unidentified, make_key
from shared.payloads.values import given, line

_MARK = "/providers/microsoft.security/assessments/"
_BELOW = "/subassessments/"


class FindingIdentity(NamedTuple):
    """An id of ``Microsoft.Security/assessments`` taken apart, spelt as sent; ``""`` for what it does not name."""

    resource: str = ""
    assessment: str = ""
    sub_assessment: str = ""


def split_id(value: str) -> FindingIdentity:
    """Take ``<resource>/providers/Microsoft.Security/assessments/<key>[/subAssessments/<name>]`` apart."""
    low = value.lower()
    position = low.find(_MARK)
    if position < 0 or len(low) != len(value):  # a few characters change their number when lowered
        return FindingIdentity()
    tail = value[position + len(_MARK) :].strip("/ ")
    below = tail.lower().find(_BELOW)
    if below < 0:
        return FindingIdentity(value[:position], tail.partition("/")[0])
    return FindingIdentity(value[:position], tail[:below], tail[below + len(_BELOW) :].partition("/")[0])


def resource_of(own: FindingIdentity, details: Fields) -> str:
    """Id of the resource that a finding is about, as sent.

    Args:
        own: the finding's own id, taken apart.
        details: ``properties.resourceDetails`` with folded keys.

    Returns:
        An ARM id; an id of another cloud where that is all there is; ``""`` for nothing.
    """
    sent = line(given(details.get("id")))
    if sent and (inner := split_id(sent).resource):
        sent = inner  # sub-assessments name themselves here
    if canonical(sent):
        return sent
    native = line(given(details.get("nativeresourceid")))
    if native and not is_precise(own.resource):
        return native
    return own.resource


#: What names a machine, the most precise first.
_MACHINE = ("nativeresourceid", "vmuuid", "sourcecomputerid", "machinename")
_DATABASE = ("servername", "databasename")

#: The connector of another cloud's account: everything of that account can stand below it.
_CONNECTORS = "microsoft.security/securityconnectors"


def machine_of(resource: str, details: Fields) -> str:
    """What names the machine (and database) of a finding whose resource does not; ``""`` where the resource does.

    Args:
        resource: of the finding, see :func:`resource_of`.
        details: ``properties.resourceDetails`` with folded keys.
    """
    if resource and not is_id(resource):
        return ""  # another cloud's own id
    if is_precise(resource) and (parse_id(resource).type or "").lower() != _CONNECTORS:
        return ""
    named = [found for name in _MACHINE if (found := line(given(details.get(name))))][:1]
    named += [found for name in _DATABASE if (found := line(given(details.get(name))))]
    return "/".join(part.replace("/", "%2f") for part in named)


def place_of(resource: str, details: Fields) -> str:
    """The resource of a finding for its key: its id, and the machine where the id does not name it."""
    machine = machine_of(resource, details)
    return f"{resource.rstrip('/ ')}/{machine}" if resource and machine else resource or machine


def assessment_of(own: FindingIdentity, name: object) -> str:
    """Key of the assessment: a GUID, or text for custom ones."""
    return last_segment(line(given(name))) or own.assessment


def assessment_id(resource: str, assessment: str) -> str:
    """ARM id of an assessment of a resource; ``""`` where the resource has no ARM id."""
    if not (is_id(resource) and assessment):
        return ""
    return f"/{resource.strip('/ ')}/providers/Microsoft.Security/assessments/{assessment}"


def recommendation_key(resource: str, assessment: str) -> str:
    """Key of a recommendation for one resource: ``recommendation:1:<resource id>/<assessment key>``.

    Args:
        resource: id of the resource, in any case, with or without its leading slash; or :func:`place_of` it.
        assessment: key of the assessment, i.e. the last segment of its id.

    Raises:
        Unidentified: one of them is empty.
    """
    where, what = canonical(line(resource)), line(assessment)
    if not where or not what:
        missing = "resource (properties.resourceDetails.id)" if not where else "assessment (name)"
        raise Unidentified(f"it names no {missing}")
    return make_key("recommendation", f"{where}/{what}")


def sub_assessment_key(resource: str, assessment: str, name: str) -> str:
    """Key of one finding of an assessment: the sub-assessment's own id.

    Raises:
        Unidentified: one of the three is empty.
    """
    parts = canonical(line(resource)), line(assessment), line(name)
    if not all(parts):
        raise Unidentified("it names no resource, assessment and finding (id)")
    return make_key("sub_assessment", _MARK.join(parts[:2]) + _BELOW + parts[2])


def security_alert_key(alert: str) -> str:
    """Key of a security alert: its system alert id, which is its name in Resource Manager.

    Raises:
        Unidentified: it is empty.
    """
    if not line(alert):
        raise Unidentified("it has no id (SystemAlertId, name)")
    return make_key("security_alert", alert)
