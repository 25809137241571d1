"""Switches of the simulator: where real instances differ, or where the documentation and practice disagree.

Everything here can be changed while it runs, through ``PATCH /control/settings``. Instance properties (``glide.*``,
``com.glide.*``) are not here: they are rows of ``sys_properties``, as on an instance.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from local.simulator_kit.settings import Switches, metadata, switch


@dataclass
class Settings(Switches):
    """Current value of every switch; ``help`` and ``choices`` are in the field metadata."""

    # The wire
    gzip: bool = switch(True, "Compress answers when the client accepts it.")
    server_header: str = switch("ServiceNow", "Value of the Server header (snow_adc on newer instances).")
    cookies: bool = switch(True, "Hand out session cookies, and serialise calls that share one.")
    session_queue: int = switch(10, "Calls that may wait for one session; more are answered 202 and dropped.")
    semaphores: int = switch(0, "API_INT semaphores of the node (real: 4); 0 means no limit.")
    semaphore_queue: int = switch(50, "Calls that may wait for a semaphore; more are answered a bare 429.")
    batch_timeout_s: float = switch(30.0, "Seconds a batch may take; items not reached are listed as unserviced.")
    batch_item_ms: int = switch(0, "Milliseconds that each item of a batch takes, beside the latency of the call.")
    max_url: int = switch(65_536, "Characters of URL above which the answer is an HTML 400.")
    max_path: int = switch(8_192, "Characters of URL path above which the answer is an HTML 400.")

    # Statuses and texts that differ between releases
    oversize_status: str = switch("400", "Status for a body above glide.rest.max_content_length.", "400", "413")
    duplicate_key_status: str = switch("403", "Status when a client-chosen sys_id exists already.", "403", "500")
    unknown_uri_status: str = switch("400", "Status for a path that is no resource.", "400", "404")
    invalid_table_detail: str = switch(
        "null", "Detail of the unknown table error: none, or 'Table x does not exist'.", "null", "text"
    )
    method_not_supported: str = switch(
        "{method} method not supported for API", "Detail of the 405 answer; {method} is replaced."
    )
    not_acceptable: str = switch(
        "Invalid Accept header.", "Sentence before 'Supported response media types ...' (406)."
    )
    unauthenticated_message: str = switch(
        "User Not Authenticated",
        "Message of the 401 answer.",
        "User Not Authenticated",
        "User is not authenticated",
    )
    challenge: str = switch('BASIC realm="Service-now"', "Value of WWW-Authenticate on 401.")
    no_count_header: bool = switch(False, "Send X-Total-Count although sysparm_no_count=true was asked.")
    api_level_acl: bool = switch(False, "Require role snc_platform_rest_api_access (REST_Endpoint ACL), else 403.")

    # Values
    string_equality: str = switch("insensitive", "Comparison of strings in queries.", "insensitive", "sensitive")
    overlong_strings: str = switch("cut", "Text above its varchar column.", "cut", "keep", "refuse")
    unresolved_reference: str = switch(
        "lenient",
        "Reference value that names nothing: lenient (32 hex stored raw, other text dropped), raw, or empty.",
        "lenient",
        "raw",
        "empty",
    )
    reference_display_lookup: bool = switch(
        True, "Resolve display text in a reference also without sysparm_input_display_value."
    )
    json_null: str = switch("clear", "A JSON null in a body.", "clear", "ignore")
    invalid_date: str = switch("empty", "Unreadable date-time in a body.", "empty", "raw", "ignore")
    iso_date: str = switch("raw", "Date-time with T and no zone in a body.", "raw", "convert", "empty")
    honour_client_sys_id: bool = switch(True, "Keep the sys_id a client sends in POST.")
    stable_order: bool = switch(True, "Without ORDERBY, give rows in the order they were made (else rotating).")

    # Rules of the base system
    closed_write: str = switch("refuse", "Write on a closed incident by a non-admin.", "refuse", "ignore")
    reopen_clears_resolution: bool = switch(False, "Reopening empties close_code and close_notes.")
    close_requires_itil_admin: bool = switch(False, "State 7 needs itil_admin or admin.")
    hold_reason_policy: bool = switch(False, "On Hold needs hold_reason (data policy, else UI policy only).")
    assignment_starts_work: bool = switch(False, "A New incident that is assigned moves to In Progress.")
    problem_transitions: str = switch(
        "checked",
        "State writes on a problem through the Table API: done when legal and aborted otherwise, silently ignored, "
        "or always aborted.",
        "checked",
        "ignored",
        "aborted",
    )
    change_transitions: str = switch(
        "model",
        "Illegal change state: aborted by the change model, the legacy rule, or not at all.",
        "model",
        "legacy",
        "off",
    )
    change_api_array: bool = switch(
        False, "The Change API answers reads and writes of one change with an array, as its documentation prints it."
    )
    close_codes: str = switch("newer", "Set of incident close codes.", "newer", "older")

    # Rights
    journal_read_roles: list[str] = field(
        default_factory=list,
        metadata=metadata("Roles beside admin that may read sys_journal_field, sys_audit and sys_audit_delete."),
    )
    read_refusal: str = switch("forbid", "List of a table the user may not read.", "forbid", "empty")
    query_field_refusal: str = switch("ignore", "Condition on a hidden field.", "ignore", "forbid")
    hidden_fields: dict[str, list[str]] = field(
        default_factory=dict, metadata=metadata('Fields non-admins cannot read: {"incident": ["close_notes"]}.')
    )
    read_only_fields: dict[str, list[str]] = field(
        default_factory=dict, metadata=metadata("Fields whose writes by non-admins are silently ignored.")
    )
    hidden_rows: dict[str, str] = field(
        default_factory=dict, metadata=metadata('Rows non-admins cannot see: {"incident": "<encoded query>"}.')
    )

    # OAuth and sign-in
    refresh_rotates: bool = switch(False, "Refreshing gives a new refresh token, and the old one ends.")
    rotation_grace_s: float = switch(0.0, "Seconds for which a replaced refresh token still works.")
    refresh_extends: bool = switch(False, "Refreshing moves the end of the refresh token.")
    sso_user: str = switch("", "Single sign-on: user as whom the identity provider sends everybody back; empty: none.")
    oauth_errors: str = switch("denied", "Error body of the token endpoint.", "denied", "specific")
    mfa_code: str = switch("246810", "One-time code the MFA user appends to the password.")
    api_key_in_query: bool = switch(False, "Accept the API key as query parameter x-sn-apikey.")
    rate_limit_counts_batch_items: bool = switch(False, "Rate limits count each item of a batch.")
