"""Microsoft's own parser and analysis of Kusto queries, through Node: what the portal's editor would underline."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from connectors.log_analytics.columns import TABLES, Column
from local.workbook.queries import FUNCTIONS, read

_SCRIPT: Final = Path(__file__).with_name("analyse.cjs")

_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Remark:
    """What the language service says of a query.

    Attributes:
        message: one sentence. severity: ``Error``, ``Warning`` or ``Suggestion``. at: the text that is meant.
    """

    message: str
    severity: str
    at: str


@dataclass(frozen=True, slots=True)
class Analysis:
    """A query as it was understood.

    Attributes:
        columns: of the answer. remarks: what is wrong or odd; empty for a good query.
    """

    columns: tuple[str, ...]
    remarks: tuple[Remark, ...]


def analyse(queries: Mapping[str, str], tables: Mapping[str, tuple[Column, ...]] = TABLES) -> dict[str, Analysis]:
    """Queries that use the tables and the saved functions, by their names.

    Raises RuntimeError when Node fails, for example because ``make setup`` did not run.
    """
    asked = {
        "tables": {name: [[one.name, one.type.value] for one in columns] for name, columns in tables.items()},
        "functions": {name: read(f"functions/{name}") for name in FUNCTIONS},
        "queries": dict(queries),
    }
    ran = subprocess.run(
        ["node", str(_SCRIPT)], input=json.dumps(asked), capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"the language service of Kusto did not run; 'make setup' installs it: {ran.stderr[-500:]}")
    return {
        name: Analysis(tuple(found["columns"]), tuple(Remark(**one) for one in found["remarks"]))
        for name, found in json.loads(ran.stdout).items()
    }
