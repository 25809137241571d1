"""Severity as a number from 0 (critical) to 4 (verbose), from every scale that Azure Monitor payloads use.

====================  ========  =====  =======  =============  =======
source                0         1      2        3              4
====================  ========  =====  =======  =============  =======
essentials.severity   Sev0      Sev1   Sev2     Sev3           Sev4
metric, non-common    "0"       "1"    "2"      "3"            "4"
log V1                Critical  Error  Warning  Informational  Verbose
activity log level    Critical  Error  Warning  Informational  Verbose
the same as a number  1         2      3        4              5
Advisor impact                  High   Medium   Low
Security severity               High   Medium   Low            Informational
====================  ========  =====  =======  =============  =======

Sources: Microsoft Learn, "Common alert schema" (Sev0 to Sev4), "Azure Activity Log event schema" (levels, Advisor
and Security properties), .NET ``EventLevel`` (the numbers that Service Health sends). A security finding that is
merely informational ranks below one of low severity, hence 4.
"""

from __future__ import annotations

from shared.payloads.text import given

_LEVELS = {
    "critical": 0,
    "error": 1,
    "warning": 2,
    "informational": 3,
    "information": 3,
    "verbose": 4,
    **{str(number): number - 1 for number in range(1, 6)},
}
_SEVERITIES = {
    **{word: number for word, number in _LEVELS.items() if word.isalpha()},
    **{f"{prefix}{number}": number for prefix in ("sev", "") for number in range(5)},
}
_RANKS = {"critical": 0, "high": 1, "medium": 2, "low": 3, "informational": 4}


def severity(value: object) -> int | None:
    """``Sev3``, ``3``, ``"3"`` or a word of the log alerts; None for anything else."""
    return _SEVERITIES.get(given(value).lower())


def level(value: object) -> int | None:
    """The level of an Activity Log event: a word, or its number where Service Health sends that."""
    return _LEVELS.get(given(value).lower())


def rank(value: object) -> int | None:
    """High, Medium, Low or Informational, as Advisor's impact and Security's severity say it."""
    return _RANKS.get(given(value).lower())
