"""Smart detection of Application Insights, in the common schema and in the AlertsManagement form.

Source: Microsoft Learn, "Smart detection in Application Insights", "Smart detection - Failure Anomalies". Values are
words, not numbers; Failure Anomalies names them differently, and spells one name wrongly.
"""

from __future__ import annotations

from connectors.azure_monitor.payloads.essentials import Essentials
from shared.payloads.builder import SignalBuilder
from shared.payloads.markup import plain
from shared.payloads.text import Fields, line, text


def read_smart_detection(builder: SignalBuilder, essentials: Essentials, context: Fields) -> None:
    """Fill in what a smart detection says. ``context`` is the folded alertContext."""
    builder.heading = line(plain(text(context.get("detectionsummary"))))
    builder.prose.append(builder.heading)
    for name in ("detectedvalue", "detectedfailurerate"):
        builder.detail("detected", context.get(name))
    for name in ("normalvalue", "normalfailurerate"):
        builder.detail("normal", context.get(name))
    builder.detail("detector", context.get("smartdetectorname"))
    builder.detail("detector_id", context.get("smartdetectorid"))
    builder.time_detail("analysed_at", context.get("analysistimestamp"))
    for name in ("formattedoccurrencetime", "formattedoccurencetime"):
        builder.time_detail("detected_at", context.get(name))
    detected, normal = builder.details.get("detected", ""), builder.details.get("normal", "")
    builder.condition = ", ".join(
        part for part in (f"Detected {detected}" if detected else "", f"normal is {normal}" if normal else "") if part
    )
    builder.rule = builder.rule or builder.details.get("detector", "")
    builder.resources.add_all(essentials.targets)
    builder.resources.add_all(essentials.items)
