"""Encoded queries over the wire: operators, precedence, dot-walking, scripts, invalid conditions."""

from __future__ import annotations

import httpx
import pytest

from tests.servicenow_simulator.support import INCIDENTS, Control, column, create, error, numbers, result, update

ABEL = "62826bf03710200044e0bfc8bcbe5df1"
MARK = "correlation_display=mark"


@pytest.fixture
def rows(bridge: httpx.Client, control: Control) -> dict[str, str]:
    """Five incidents by nickname; a..e made an hour apart, the last one now."""
    control.clock(freeze=True, set="2026-03-11T10:00:00Z")
    made: dict[str, str] = {}
    fields = {
        "a": {"short_description": "Disk is FULL", "urgency": "1", "caller_id": ABEL},
        "b": {"short_description": "Mail is slow", "urgency": "2", "description": "100% of mails"},
        "c": {"short_description": "Fan is loud ^ hot", "urgency": "3", "category": "hardware"},
        "d": {"short_description": "Disk is broken", "urgency": "2", "due_date": "2026-03-20 00:00:00"},
        "e": {"short_description": "", "urgency": "1", "category": "network"},
    }
    for name, values in fields.items():
        made[create(bridge, **values, correlation_display="mark")["number"]] = name
        control.clock(advance=3600)
    return made


def find(bridge: httpx.Client, rows: dict[str, str], query: str) -> str:
    return "".join(rows[number] for number in numbers(bridge, "incident", f"{query}^ORDERBYnumber"))


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("urgency=1", "ae"),
        ("urgency!=1", "bcd"),
        ("urgency<2", "ae"),
        ("urgency<=2", "abde"),
        ("urgency>2", "c"),
        ("urgency>=2", "bcd"),
        ("short_description=disk is full", "a"),
        ("short_descriptionLIKEdisk", "ad"),
        ("short_descriptionCONTAINSdisk", "ad"),
        ("short_description*disk", "ad"),
        ("short_descriptionNOT LIKEdisk", "bce"),
        ("short_descriptionDOES NOT CONTAINdisk", "bce"),
        ("short_description!*disk", "bce"),
        ("short_descriptionSTARTSWITHdisk", "ad"),
        ("short_descriptionENDSWITHbroken", "d"),
        ("short_description%broken", "d"),
        ("short_descriptionLIKE ^^ ", "c"),
        ("description=100% of mails", "b"),
        ("urgencyIN1,3", "ace"),
        ("urgencyNOT IN1,3", "bd"),
        ("short_descriptionISEMPTY", "e"),
        ("short_description=NULL", "e"),
        ("short_description=", "e"),
        ("short_descriptionEMPTYSTRING", "e"),
        ("short_descriptionISNOTEMPTY", "abcd"),
        ("short_description!=Mail is slow", "acde"),
        ("urgencyANYTHING", "abcde"),
        ("urgencyBETWEEN2@3", "bcd"),
        ("impactGT_FIELDurgency", "abde"),
        ("impactSAMEASurgency", "c"),
        ("impactNSAMEASurgency", "abde"),
        ("urgencyLT_FIELDimpact", "abde"),
        ("urgencyLT_OR_EQUALS_FIELDimpact", "abcde"),
        ("urgencyLE_OR_EQUALS_FIELDimpact", "abcde"),
        ("urgencyGT_OR_EQUALS_FIELDimpact", "c"),
        ("caller_id.user_name=abel.tuter", "a"),
        ("caller_id.name=NULL", "bcde"),
        (f"caller_id={ABEL}", "a"),
        ("sys_class_nameINSTANCEOFtask", "abcde"),
        ("sys_class_nameINSTANCEOFproblem", ""),
        ("active=1", "abcde"),
        ("opened_by=javascript:gs.getUserID()", "abcde"),
        ("opened_byDYNAMIC90d1921e5f510100a9ad2572f2b477fe", "abcde"),
        ("sys_created_on>=2026-03-11 12:00:00", "cde"),
        ("sys_created_onBETWEEN2026-03-11 11:00:00@2026-03-11 13:00:00", "bcd"),
        ("sys_created_on>javascript:gs.hoursAgo(2)", "e"),
        ("sys_created_on>=javascript:gs.minutesAgo(120)", "de"),
        ("sys_created_on>=javascript:gs.dateGenerate('2026-03-11','13:00:00')", "de"),
        ("sys_created_on>=javascript:gs.beginningOfToday()", "abcde"),
        ("sys_created_on<javascript:gs.daysAgoStart(0)", ""),
        ("sys_created_on<=javascript:gs.daysAgoEnd(0)", "abcde"),
        ("sys_created_onONToday@javascript:gs.beginningOfToday()@javascript:gs.endOfToday()", "abcde"),
        ("sys_created_onONYesterday@javascript:gs.beginningOfYesterday()@javascript:gs.endOfYesterday()", ""),
        ("sys_created_onONLast 7 days@javascript:gs.beginningOfLast7Days()@javascript:gs.endOfLast7Days()", "abcde"),
        ("sys_created_onON2026-03-11 09:15:00", "abcde"),
        ("sys_created_onNOTONToday@javascript:gs.beginningOfToday()@javascript:gs.endOfToday()", ""),
        ("sys_created_onRELATIVEGT@hour@ago@2", "e"),
        ("sys_created_onRELATIVEGE@hour@ago@2", "de"),
        ("sys_created_onRELATIVELT@hour@ago@3", "ab"),
        ("sys_created_onRELATIVELE@minute@ago@180", "abc"),
        ("sys_created_onRELATIVEEE@hour@ago@2", "d"),
        ("due_dateRELATIVELT@dayofweek@ahead@10", "d"),
        ("due_dateMORETHANsys_created_on@day@after@5", "d"),
        ("sys_created_onLESSTHANdue_date@month@before@1", "d"),
        ("sys_created_onDATEPARTWednesday@javascript:gs.datePart('dayofweek','wednesday','EE')", "abcde"),
        ("sys_created_onDATEPARTMarch@javascript:gs.datePart('month','mar','GT')", ""),
        ("123TEXTQUERY321=mails 100%", "b"),
    ],
)
def test_f6_operators(bridge: httpx.Client, rows: dict[str, str], condition: str, found: str) -> None:
    assert find(bridge, rows, f"{MARK}^{condition}") == found


@pytest.mark.parametrize(
    ("query", "found"),
    [
        (f"{MARK}^urgency=1^ORurgency=2^short_descriptionLIKEdisk", "ad"),
        (f"{MARK}^short_descriptionLIKEdisk^urgency=1^ORurgency=3", "a"),
        (f"{MARK}^urgency=1^category=network^NQ{MARK}^urgency=3", "ce"),
        (f"{MARK}^urgency=3^NQ{MARK}^short_descriptionLIKEdisk^urgency=2^ORurgency=3", "cd"),
        (f"ORDERBYDESCsys_created_on^{MARK}^urgency=1^EQ", "ea"),
        (f"{MARK}^urgency=1^EQ^ORDERBYsys_created_on", "ae"),
        (f"{MARK}^urgencyIN1,2^ORDERBYurgency^ORDERBYDESCnumber", "eadb"),
    ],
)
def test_f6_precedence_and_order(bridge: httpx.Client, rows: dict[str, str], query: str, found: str) -> None:
    assert "".join(rows[number] for number in numbers(bridge, "incident", query)) == found


def test_f6_string_comparison_can_be_case_sensitive(
    bridge: httpx.Client, rows: dict[str, str], control: Control
) -> None:
    control.set(string_equality="sensitive")
    assert find(bridge, rows, f"{MARK}^short_description=disk is full") == ""
    assert find(bridge, rows, f"{MARK}^short_description=Disk is FULL") == "a"
    assert find(bridge, rows, f"{MARK}^caller_id={ABEL.upper()}") == "a"


def test_f6_groups_of_the_user(bridge: httpx.Client) -> None:
    mine = numbers(bridge, "incident", "assignment_groupDYNAMICd6435e965f510100a9ad2572f2b477fe")
    by_script = numbers(bridge, "incident", "assignment_group=javascript:gs.getUser().getMyGroups()")
    assert mine
    assert mine == by_script


def test_f6_join_and_related_lists(admin: httpx.Client) -> None:
    managers = column(admin, "sys_user", "JOINsys_user.sys_id=sys_user_group.manager!active=true", "user_name")
    assert "beth.anglin" in managers
    assert "abel.tuter" not in managers
    query = "RLQUERYsys_group_has_role.group,>0,m2m^role.nameLIKEadmin^ENDRLQUERY"
    assert "User Administrators" in column(admin, "sys_user_group", query, "name")
    assert "Network" not in column(admin, "sys_user_group", query, "name")
    assert "Network" in column(admin, "sys_user_group", "RLQUERYsys_group_has_role.group,=0^ENDRLQUERY", "name")


def test_f6_work_notes_can_be_searched(bridge: httpx.Client) -> None:
    record = create(bridge)
    update(bridge, INCIDENTS, record["sys_id"], work_notes="marker-4711: restarted")
    assert numbers(bridge, "incident", "work_notesLIKEmarker-4711") == [record["number"]]


def test_f6_plain_parameters_take_display_values(bridge: httpx.Client) -> None:
    record = create(bridge, caller_id=ABEL, correlation_id="plain")
    params = {"caller_id": "Abel Tuter", "state": "New", "correlation_id": "plain", "sysparm_fields": "number"}
    assert result(bridge.get(INCIDENTS, params=params)) == [{"number": record["number"]}]
    assert result(bridge.get(INCIDENTS, params=params | {"state": "Resolved"})) == []
    both = params | {"sysparm_query": "number=none"}
    assert result(bridge.get(INCIDENTS, params=both)) == []


@pytest.mark.parametrize(
    "invalid",
    [
        "correlation_idd=X",
        "correlation_id~X",
        "bunk.name=X",
        "correlation_id.name=X",
        "sys_created_on>javascript:gs.eval('1')",
        "sys_created_onRELATIVEGT@fortnight@ago@1",
        "stateVALCHANGES",
        "stateBETWEEN3",
        "assigned_toDYNAMICunknown",
        "NONSENSE",
    ],
)
def test_f7_an_invalid_condition_is_dropped_unless_the_property_says_otherwise(
    bridge: httpx.Client, control: Control, invalid: str
) -> None:
    everything = numbers(bridge, "incident", "")
    assert numbers(bridge, "incident", invalid) == everything
    assert numbers(bridge, "incident", f"{invalid}^number=INC0000002") == ["INC0000002"]
    assert numbers(bridge, "incident", f"number=INC0000002^OR{invalid}") == ["INC0000002"]
    control.set_property("glide.invalid_query.returns_no_rows", True)
    assert numbers(bridge, "incident", f"{invalid}^ORnumber=INC0000002") == []


def test_f7_thousands_of_invalid_conditions_leave_the_valid_one(bridge: httpx.Client) -> None:
    query = "AAAA=BBBB^" * 2300 + "number=INC0000003"
    assert len(query) > 23_000
    assert numbers(bridge, "incident", query) == ["INC0000003"]


def test_f7_field_names_are_case_sensitive(bridge: httpx.Client) -> None:
    assert len(numbers(bridge, "incident", "NUMBER=INC0000003")) == 30


def test_f20_a_condition_on_a_hidden_field(bridge: httpx.Client, control: Control) -> None:
    control.set(hidden_fields={"incident": ["close_code"]})
    assert len(numbers(bridge, "incident", "close_code=Duplicate")) == 30
    control.set(query_field_refusal="forbid")
    answer = bridge.get(INCIDENTS, params={"sysparm_query": "close_code=Duplicate"})
    text = "Field(s) present in the query do not have permission to be read"
    assert error(answer, 403) == ("Insufficient rights to query records", text)
