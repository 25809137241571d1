"""What the examples of the docs need to be checked: one table for each question. A row that fits nothing fails."""

from __future__ import annotations

from dataclasses import dataclass

#: How to mend an example that fails; the last words of every failure.
ADVICE = (
    "Mend the example, or the product where the example is right. What cannot be run without Azure or would destroy "
    "something gets a row with its reason in NOT_RUN of tests/docs/tables.py."
)


@dataclass(frozen=True, slots=True)
class NotRun:
    """Commands or JSON blocks of a page that are not run. ``begins`` is a regular expression for their beginning."""

    file: str
    begins: str
    reason: str


_AZURE = "needs an Azure subscription"
_ROLE = "input of 'az role definition create', which needs an Azure subscription"
NOT_RUN = (
    NotRun("README.md", "func azure functionapp publish", _AZURE),
    NotRun("infra/README.md", "az ", _AZURE),
    NotRun("docs/owners.md", "az role assignment create", _AZURE),
    NotRun("infra/README.md", "func azure functionapp publish", _AZURE),
    NotRun("docs/log-analytics.md", "az ", _AZURE),
    NotRun("docs/migrating-from-itsmc.md", "az ", _AZURE),
    NotRun("docs/operations.md", "az ", _AZURE),
    NotRun("docs/reconcile.md", "az ", _AZURE),
    NotRun("docs/reconcile.md", '{\n  "Name": "Azure ITSM Bridge alert reader"', _ROLE),
    NotRun("docs/resync.md", '{\n  "Name": "Azure ITSM Bridge alert states"', _ROLE),
    NotRun("docs/rows.md", "az ", _AZURE),
    NotRun("docs/secure-score.md", r"(\w+=\$\()?az ", _AZURE),
    NotRun("docs/servicenow.md", "az ", _AZURE),
)

#: Blocks that a user runs before anything is configured: without the settings of the running bridge.
FIRST_STEPS = (("README.md", "cp local.settings.example.json local.settings.json"),)

#: Where a fragment of bridge.yaml belongs that is no section of its own: page, how one of its lines begins, and
#: "connection", "route", "routes" (a list of them) or "integration".
FRAGMENTS = (
    ("docs/configuration.md", "kind: [metric, log]", "route"),
    ("docs/defender.md", "fields:", "integration"),
    ("docs/servicenow.md", "auth:", "connection"),
    ("docs/servicenow.md", "states:", "connection"),
    ("docs/servicenow.md", "problem:", "connection"),
    ("docs/servicenow.md", "change:", "connection"),
    ("docs/servicenow.md", "fields: {type: emergency}", "route"),
    ("docs/servicenow.md", "import_set:", "connection"),
    ("docs/storms.md", "only_after:", "route"),
    ("docs/storms.md", "open_after:", "route"),
    ("docs/storms.md", "flapping:", "route"),
    ("docs/storms.md", "- name: budgets", "routes"),
    ("docs/storms.md", "- name: unavailable machines", "routes"),
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A JSON block that is a response, and not that of the curl right above it: the request that it answers."""

    file: str
    contains: str
    method: str
    path: str
    body: dict[str, object] | None = None


RESPONSES = (
    Shown("docs/defender.md", '{"integrations":', "GET", "/api/integrations"),
    Shown(
        "docs/assignments.md",
        '"status": 422',
        "POST",
        "/api/assignments",
        {
            "recommendation": "Virtual machines should encrypt temp disks, caches and data flows",
            "resources": [
                "/subscriptions/SUBSCRIPTION/resourceGroups/rg-shop/providers/Microsoft.Compute/virtualMachines/web-02"
            ],
            "assigned_to": "ada.winterfelt",
            "remediation_days": 30,
        },
    ),
)
#: Objects of responses whose members are data or change from moment to moment: they are not compared.
DATA = ("bridge", "counts.kinds", "counts.states")
