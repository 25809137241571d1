"""New tickets through an import set: a row of a staging table, which transform maps of the instance turn into a record.

An answer of the Import Set API is 201 whatever became of the row: each transform map reports a ``status``. Only
``inserted`` and ``updated`` are a ticket. Rows are posted one by one, because only that call transforms at once;
``insertMultiple`` answers before anything was transformed.

Source: ServiceNow docs, "Import Set API" (POST /now/import/{stagingTableName}: synchronous, values are texts),
"insertMultiple" (states of a row, status_message, error_message).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from connectors.servicenow.client import Client
from connectors.servicenow.refusals import DuplicateKey, Ruling, duplicate, named_refusal
from connectors.servicenow.settings import ImportSet
from connectors.servicenow.wire import Purpose, WireCall, is_sys_id, plain, shorten, value
from shared.core.errors import OutcomeUnknown, Refused, TicketSystemError

_LOOK = "It is looked up before anything is repeated"

#: Errors of a row by what the instance says, and what helps.
_KNOWN_ERRORS = {
    "target record not found": "The map coalesces on a column whose value no record has: let it coalesce on the "
    "column of correlation_id alone",
    "invalid table": "Correct the target table of the transform map",
    "invalid staging table": "Correct 'import_set' of the connection: the staging table does not exist",
}


class ImportedRow(NamedTuple):
    """The record that a row became: its sys_id, and whether it was there before."""

    sys_id: str
    updated: bool


async def import_record(
    client: Client, staging: ImportSet, fields: Mapping[str, str], target: str, selected: Mapping[str, str]
) -> Mapping[str, Any]:
    """Stage one row and read the record that it became.

    Args:
        client: makes both calls.
        staging: the staging table.
        fields: of the new record; ``correlation_id`` among them.
        target: table of the record.
        selected: parameters that say which columns are read.

    Raises what calls and :func:`imported` raise, and Refused where the map wrote into another ticket.
    """
    call = import_call(staging, fields)
    rows = [{name: client.redact(value(row, name) or "") for name in row} for row in await client.call(call)]
    made = imported(call, rows, target, client.connection)
    try:
        row: Mapping[str, Any] = await client.call(
            WireCall("GET", f"/api/now/table/{target}/{made.sys_id}", Purpose.RECORD, selected)
        )
    except TicketSystemError as error:
        raise OutcomeUnknown(
            f"a record was made of the row, and reading it failed: {error.message}",
            connection=client.connection,
            status=error.status,
            upstream=error.upstream,
            advice=f"{_LOOK}. {error.advice}",
            retry_after=error.retry_after,
        ) from error
    if made.updated and value(row, "correlation_id") != fields["correlation_id"]:
        raise Refused(
            f"the transform map wrote into {value(row, 'number') or made.sys_id}, which is another ticket",
            connection=client.connection,
            advice="Let the map coalesce on the column of correlation_id alone.",
        )
    return row


def import_call(staging: ImportSet, fields: Mapping[str, str]) -> WireCall:
    """The call that stages one row and transforms it."""
    row = {f"{staging.prefix}{name}": text for name, text in fields.items()}
    return WireCall("POST", f"/api/now/import/{staging.table}", Purpose.IMPORT, body=row)


def imported(call: WireCall, rows: Sequence[Mapping[str, Any]], target: str, connection: str) -> ImportedRow:
    """What became of the row, of the results of all transform maps.

    Args:
        call: that staged it. rows: its result. target: table of the ticket. connection: for errors.

    Raises:
        Refused: it was ignored, skipped or in error, or no map leads to the target; what the ticket needs is said.
        DuplicateKey: an insert met an existing record.
        OutcomeUnknown: it is pending, or has a status that is not known.
    """
    ours = [row for row in rows if value(row, "table") == target]
    if not ours:
        failed = [row for row in rows if _status(row) == "error"]
        if not failed:
            raise _error(_no_map(rows, target), rows[0] if rows else {}, connection)
        ours = failed
    done = next((row for row in ours if _status(row) in ("inserted", "updated")), None)
    if done is None:
        raise _error(_judge(call, ours[0]), ours[0], connection)
    sys_id = value(done, "sys_id") or ""
    if not is_sys_id(sys_id):
        raise OutcomeUnknown(
            f"the answer to {call} does not say which record was made",
            connection=connection,
            advice=f"{_LOOK}.",
        )
    return ImportedRow(sys_id, _status(done) == "updated")


def _status(row: Mapping[str, Any]) -> str:
    return (value(row, "status") or "").strip().lower()


def _message(row: Mapping[str, Any]) -> str:
    texts = [value(row, name) or "" for name in ("error_message", "status_message")]
    return plain(": ".join(text for text in texts if text))


def _error(ruling: Ruling, row: Mapping[str, Any], connection: str) -> Exception:
    return ruling.error(
        ruling.message, connection=connection, upstream=shorten(_message(row)), advice=f"{ruling.advice}."
    )


def _no_map(rows: Sequence[Mapping[str, Any]], target: str) -> Ruling:
    others = ", ".join(sorted({value(row, "table") or "nothing" for row in rows})) or "nothing"
    return Ruling(
        Refused,
        f"no transform map of the staging table leads to {target}: the row became {others}",
        f"Make a transform map from the staging table to {target}, or correct 'import_set' of the connection",
    )


def _judge(call: WireCall, row: Mapping[str, Any]) -> Ruling:
    """What a status other than inserted and updated means."""
    status, text = _status(row), _message(row)
    if status == "error":
        return _judge_error(call, text)
    if status == "ignored":
        return Ruling(
            Refused,
            "the transform map ignored the row",
            "A script of the map sets 'ignore', or the record has these values already: see docs/servicenow.md",
        )
    if status == "skipped":
        return Ruling(
            Refused,
            "the transform map skipped the row",
            "The map finds no value for a column it coalesces on, or maps none of the columns that the bridge sends: "
            "compare the columns of the staging table with docs/servicenow.md",
        )
    if status == "pending":
        return Ruling(
            OutcomeUnknown,
            "the row is staged and not transformed yet",
            f"Let the instance transform rows of {call.path.rpartition('/')[2]} at once. {_LOOK}",
        )
    return Ruling(OutcomeUnknown, f"the row has the status '{shorten(status, 40)}', which is not known", _LOOK)


def _judge_error(call: WireCall, text: str) -> Ruling:
    lower = text.lower()
    if duplicate(text):
        return Ruling(DuplicateKey, "the instance could not insert the record", "It is looked up by its key")
    if "maximum execution time" in lower:
        return Ruling(OutcomeUnknown, "the transformation ran out of time", f"Look for slow rules and scripts. {_LOOK}")
    for known, advice in _KNOWN_ERRORS.items():
        if known in lower:
            return Ruling(Refused, f"the row was not transformed: {known}", advice)
    named = named_refusal(call, text)
    if named is not None and named.error is Refused:
        return named
    return Ruling(
        Refused,
        f"the row was not transformed: {shorten(text, 200) or 'no reason is given'}",
        "See what the instance says, and the row in sys_import_set_row",
    )
