"""Switches of the clouds' stand-in: limits, and where the real services differ or are not documented.

Everything here can be changed while it runs, through ``PATCH /control/settings``. The limits are counted by the
simulated clock: while it is frozen nothing refills.
"""

from __future__ import annotations

from dataclasses import dataclass

from local.simulator_kit.settings import Switches, switch


@dataclass
class Settings(Switches):
    """Current value of every switch; ``help`` and ``choices`` are in the field metadata."""

    # Entra ID
    token_lifetime_s: int = switch(3599, "Seconds that an access token lives from now (real: 60 to 90 minutes).")
    webhook_token_version: int = switch(
        1, "requestedAccessTokenVersion of the webhook's app registration: 1 or 2 (issuer, aud and appid/azp differ)."
    )

    # Resource Manager (docs: "Understand how Azure Resource Manager throttles requests")
    arm_throttling: bool = switch(True, "Token buckets per subscription, principal and kind of request; above: 429.")
    arm_read_bucket: int = switch(250, "Reads that a full bucket holds.")
    arm_read_rate: float = switch(25.0, "Reads that come back per second.")
    arm_write_bucket: int = switch(200, "Writes (and, apart, deletes) that a full bucket holds.")
    arm_write_rate: float = switch(10.0, "Writes (and deletes) that come back per second.")
    arm_page_size: int = switch(100, "Items per page of lists whose page size the client cannot choose.")

    # Alerts Management (docs: "Azure Monitor service limits", alerts API)
    alerts_calls_per_minute: int = switch(1_000, "Calls a minute and subscription to the alerts API; above: 429.")
    alerts_lists_per_minute: int = switch(100, "List calls among them; above: 429.")
    alerts_time_field: str = switch(
        "startDateTime",
        "What timeRange and customTimeRange look at (not documented).",
        "startDateTime",
        "lastModifiedDateTime",
    )
    alerts_last_next_link: str = switch(
        "empty", "nextLink on the last page: an empty text, null, or absent.", "empty", "null", "absent"
    )
    alerts_kept_days: int = switch(30, "Days after which an alert is gone (404).")

    # Resource Graph (docs: "Guidance for throttled requests in Azure Resource Graph")
    graph_queries_per_window: int = switch(15, "Resource Graph queries per principal and window; above: 429.")
    graph_window_s: float = switch(5.0, "Seconds of that window.")
    graph_subscription_limit_hit: bool = switch(False, "Send x-ms-tenant-subscription-limit-hit: true.")

    # Log Analytics (docs: "Azure Monitor service limits", user query throttling)
    logs_queries_per_window: int = switch(200, "Log queries per principal and window; above: 429.")
    logs_window_s: float = switch(30.0, "Seconds of that window.")

    # Logs Ingestion (docs: "Azure Monitor service limits"; "Ingestion behavior of invalid data")
    ingestion_body_limit: int = switch(1024 * 1024, "Bytes of a body, compressed or not; above: 413.")
    ingestion_unsuitable: str = switch(
        "replace",
        "Values that do not fit their column, TimeGenerated that is missing or older than two days: null and the time "
        "of receipt, or 400.",
        "replace",
        "refuse",
    )
    ingestion_malformed: str = switch(
        "accept",
        "A body that is no JSON array of objects: 204, and nothing is stored; or 400.",
        "accept",
        "refuse",
    )
    ingestion_refused_text: str = switch("", "400 for a body in which a text column holds this; empty for none.")

    # Microsoft Graph
    graph_page_size: int = switch(100, "Items per page of a Graph list without $top.")
    state_spelling: str = switch(
        "sent", "Spelling of state in controlStateUpdates: as sent, or camelCase as live tenants show.", "sent", "camel"
    )
