"""Whatever is sent, the answer is one an instance would give: never a crash, never a half-written record."""

from __future__ import annotations

import json
from typing import Any

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from local.servicenow.schema.describe import words
from tests.servicenow_simulator.support import INCIDENTS, Control

NAMES = words(
    """
    short_description state incident_state priority impact urgency caller_id assignment_group due_date
    work_notes comments active watch_list correlation_id close_code close_notes sys_id sys_mod_count
    sys_created_on number parent_incident reopen_count calendar_duration hold_reason sys_class_name bunk
    """
)
texts = st.text(max_size=30)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), texts, st.sampled_from(["6", "7", "1", "Closed"])
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))
bodies = st.dictionaries(st.sampled_from(NAMES), values, max_size=6)
PARAMETERS = words(
    """
    sysparm_limit sysparm_offset sysparm_fields sysparm_query sysparm_display_value
    sysparm_exclude_reference_link sysparm_view sysparm_input_display_value sysparm_suppress_auto_sys_field
    sysparm_tiny state bunk
    """
)
params = st.dictionaries(
    st.sampled_from(PARAMETERS),
    st.one_of(texts, st.sampled_from(["true", "all", "-1", "0", "3", "number,caller_id.name", "ORDERBYDESCstate"])),
    max_size=4,
)
unhurried = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@unhurried
@given(body=bodies, query=params)
def test_any_record_can_be_written_and_read(admin: httpx.Client, body: dict[str, Any], query: dict[str, str]) -> None:
    made = admin.post(INCIDENTS, params=query, content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert made.status_code in (201, 403), made.text
    if made.status_code == 201:
        path = made.headers["Location"]
        assert admin.get(path, params=query).status_code == 200
        changed = admin.patch(
            path, params=query, content=json.dumps(body), headers={"Content-Type": "application/json"}
        )
        assert changed.status_code in (200, 403), changed.text
        for accept in ("application/json", "application/xml"):
            whole = admin.get(path, params={"sysparm_display_value": "all"}, headers={"Accept": accept})
            assert whole.status_code == 200, whole.text
        assert admin.get("/api/now/stats/incident?sysparm_count=true&sysparm_group_by=state").status_code == 200


@unhurried
@given(query=params)
def test_any_parameters_can_be_asked(admin: httpx.Client, query: dict[str, str]) -> None:
    for path in (INCIDENTS, "/api/now/v1/table/sys_user", "/api/now/attachment", "/api/now/stats/incident"):
        answer = admin.get(path, params=query)
        assert answer.status_code in (200, 400, 404), answer.text
        assert answer.json()


@unhurried
@given(body=st.one_of(st.binary(max_size=60), st.text(max_size=60).map(str.encode)), media=st.sampled_from(
    ["application/json", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
))  # fmt: skip
def test_any_bytes_can_be_sent(admin: httpx.Client, control: Control, body: bytes, media: str) -> None:
    headers = {"Content-Type": media} if media else {}
    for path in (
        INCIDENTS,
        "/api/now/v1/batch",
        "/api/now/attachment/upload",
        "/api/now/tinyurl",
        "/api/global/em/jsonv2",
        "/api/now/import/x_mioms_microsoft_oms_incident",
        "/oauth_token.do",
    ):
        answer = admin.post(path, content=body, headers=headers)
        assert answer.status_code in (200, 201, 400, 401, 415), f"{path}: {answer.text}"
    assert control.get("/counters")["in_flight"] == 0
