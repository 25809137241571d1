"""Whatever the product stores is damaged by a test: no row of another release may fail a list, a job or a delivery."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

#: Files that store something, and the tests that damage it.
_DAMAGED: dict[str, str] = {
    "connectors/azure_monitor/reconcile/state.py": "test_what_reconcile_knows",
    "connectors/azure_monitor/resource_tags/store.py": "test_damaged_tags_count_as_unknown_and_are_written_again",
    "connectors/bridge/store.py": "test_a_damaged_problem_of_the_bridge_is_reported_again",
    "connectors/defender/assignments/store.py": "test_assignments",
    "connectors/defender/poll/management_groups.py": "test_documents_count_as_none_and_are_replaced_by_the_next_write",
    "connectors/defender/poll/snapshot.py": "test_a_snapshot_goes_on_behind_a_line_that_cannot_be_read",
    "connectors/manual/store.py": "test_work_that_needs_a_damaged_row_waits_until_it_is_mended",
    "connectors/secure_score/poll/states.py": "test_documents_count_as_none_and_are_replaced_by_the_next_write",
    "shared/budget/store.py": "test_work_that_needs_a_damaged_row_waits_until_it_is_mended",
    "shared/delivery/grouping/store.py": "test_work_that_needs_a_damaged_row_waits_until_it_is_mended",
    "shared/delivery/links.py": "test_a_link_that_cannot_be_read_is_left_out_of_every_list_and_said_once",
    "shared/delivery/parked.py": "test_parked_items",
    "shared/delivery/planned_work.py": "test_a_damaged_copy_of_planned_work_counts_as_none",
    "shared/delivery/queue.py": ("test_a_large_message_whose_content_is_damaged_is_one_that_the_bridge_did_not_write"),
    "shared/delivery/splitting/store.py": "test_work_that_needs_a_damaged_row_waits_until_it_is_mended",
    "shared/export/deletions.py": "test_a_damaged_note_of_a_deleted_ticket_keeps_no_other_from_the_export",
    "shared/export/positions.py": "test_a_position_that_cannot_be_read_begins_the_export_anew",
    "shared/operations/audit_log.py": "test_a_damaged_row_of_the_audit_log_is_left_out_of_reports",
    "shared/operations/connection_health.py": "test_health_of_connections",
    "shared/operations/credential_watch.py": (
        "test_a_damaged_credential_is_read_again_and_the_others_are_watched_all_the_same"
    ),
    "shared/operations/findings.py": "test_a_finding_that_cannot_be_read_lets_creates_go_alone",
    "shared/operations/job_lease.py": "test_a_damaged_lease_is_somebodys_until_its_term_is_over",
    "shared/operations/job_runs.py": "test_a_damaged_run_of_a_job_counts_as_none_and_the_next_one_replaces_it",
    "shared/operations/token_store.py": "test_damaged_tokens_count_as_none_and_the_next_renewal_replaces_them",
    "shared/operations/trap_watch.py": "test_a_damaged_trap_is_left_out_until_it_is_seen_again",
    "shared/operations/vital_signs.py": "test_a_damaged_sign_of_life_is_left_out_and_known_anew",
    "shared/resync/progress.py": "test_documents_count_as_none_and_are_replaced_by_the_next_write",
}


def test_whatever_is_stored_is_damaged_by_a_test() -> None:
    stores = {
        file.relative_to(ROOT).as_posix()
        for part in ("app", "connectors", "shared")
        for file in (ROOT / part).rglob("*.py")
        if file.parent.name != "platform" and any(_opens(ast.parse(file.read_text("utf-8"))))
    }
    assert stores == _DAMAGED.keys(), "name the test that damages what a new file stores"
    tests = "".join(file.read_text("utf-8") for file in sorted((ROOT / "tests").rglob("test_*.py")))
    for name in _DAMAGED.values():
        assert f"def {name}(" in tests, name


def _opens(tree: ast.AST) -> Iterator[bool]:
    """Whether each call of a file opens a table or blob."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
            yield name in ("VersionedTable", "JsonBlob") or (name in ("table", "container") and "storage" in owner)
