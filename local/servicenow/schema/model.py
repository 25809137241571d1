"""Tables and columns as the instance's dictionary knows them, and the compact text they are written in.

One line of a table definition is a column::

    name  type[(max_length)][->referenced_table]  [flags ...]  [| Label]

Flags: ``choice`` (has choices in sys_choice), ``ro`` (read only), ``req`` (mandatory), ``virtual`` (never stored in the
row), ``key=name`` (a reference that stores this column instead of sys_id), ``=text`` (default; ``~`` stands for a
space). Without a label it is made from the name.
"""

from __future__ import annotations

from dataclasses import dataclass, field

#: ``max_length`` of a column whose definition does not say (ServiceNow docs, "Field types").
TYPE_LENGTHS = {
    "journal_input": 4000,
    "journal_list": 4000,
    "journal": 4000,
    "glide_list": 4000,
    "reference": 32,
    "GUID": 32,
    "domain_id": 32,
    "html": 8000,
    "password2": 255,
    "password": 255,
    "conditions": 4000,
    "script": 8000,
    "sys_class_name": 80,
    "domain_path": 255,
}
#: Columns that hold the sys_id of another row.
REFERENCES = frozenset({"reference", "domain_id"})
#: Columns whose text lives in sys_journal_field.
JOURNALS = frozenset({"journal_input", "journal_list"})
SECRETS = frozenset({"password2", "password"})
DATE_TIMES = frozenset({"glide_date_time", "due_date"})
NUMBERS = frozenset({"integer", "decimal", "float", "longint"})
#: Above this length the database column is a text blob and nothing is cut (ServiceNow KB0685779).
VARCHAR_LIMIT = 255
_FLAGS = ("choice", "ro", "req", "virtual")

SYSTEM_COLUMNS = """
sys_id          GUID            ro | Sys ID
sys_created_on  glide_date_time ro | Created
sys_created_by  string(40)      ro | Created by
sys_updated_on  glide_date_time ro | Updated
sys_updated_by  string(40)      ro | Updated by
sys_mod_count   integer         ro =0 | Updates
sys_tags        string(40)      virtual | Tags
"""


@dataclass(slots=True)
class Column:
    """One dictionary entry. ``reference`` names the table a reference points to, empty for other types."""

    name: str
    type: str = "string"
    max_length: int = 40
    reference: str = ""
    reference_key: str = "sys_id"
    default: str = ""
    choice: bool = False
    read_only: bool = False
    mandatory: bool = False
    virtual: bool = False
    label: str = ""

    #: Derived: shown as it is stored.
    plain: bool = field(init=False)

    def __post_init__(self) -> None:
        self.plain = not self.virtual and self.type not in REFERENCES and self.type not in SECRETS

    @property
    def is_reference(self) -> bool:
        return self.type in REFERENCES

    @property
    def is_date_time(self) -> bool:
        return self.type in DATE_TIMES

    @property
    def is_number(self) -> bool:
        return self.type in NUMBERS

    @property
    def varchar(self) -> int | None:
        """Characters the database column holds, None when it is a text blob or not text."""
        if self.type in JOURNALS or self.type in SECRETS or self.max_length > VARCHAR_LIMIT:
            return None
        return self.max_length


@dataclass(slots=True)
class Table:
    """One table. ``columns`` are its own; the inherited ones come from :class:`Dictionary`."""

    name: str
    label: str
    extends: str = ""
    columns: dict[str, Column] = field(default_factory=dict)
    prefix: str = ""
    first_number: int = 10001
    display: str = ""


def parse_column(line: str) -> Column:
    """Read one line of a table definition."""
    spec, _, label = line.partition("|")
    name, kind, *flags = spec.split()
    kind, _, reference = kind.partition("->")
    kind, _, length = kind.partition("(")
    unknown = [flag for flag in flags if flag not in _FLAGS and not flag.startswith(("=", "key="))]
    if unknown:
        raise ValueError(f"unknown flags {unknown} in {line!r}")
    return Column(
        name=name,
        type=kind,
        max_length=int(length.rstrip(")")) if length else TYPE_LENGTHS.get(kind, 40),
        reference=reference,
        reference_key=next((flag[4:] for flag in flags if flag.startswith("key=")), "sys_id"),
        default=next((flag[1:].replace("~", " ") for flag in flags if flag.startswith("=")), ""),
        choice="choice" in flags,
        read_only="ro" in flags,
        mandatory="req" in flags,
        virtual="virtual" in flags,
        label=label.strip() or name.removeprefix("u_").replace("_", " ").capitalize(),
    )


def table(
    name: str,
    label: str,
    columns: str,
    *,
    extends: str = "",
    prefix: str = "",
    first_number: int = 10001,
    display: str = "",
) -> Table:
    """Define a table from its text; a root table gets the system columns too."""
    text = columns if extends else SYSTEM_COLUMNS + columns
    parsed = [parse_column(line) for line in text.strip().splitlines() if line.strip()]
    return Table(name, label, extends, {column.name: column for column in parsed}, prefix, first_number, display)
