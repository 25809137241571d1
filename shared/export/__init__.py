"""Tickets and the bridge's own log go to a log store.

Each run reads what changed in the ticket systems, page by page, as the least urgent of all calls, and sends it to the
destination. A page's position is stored after its rows were sent: a run that dies, or fails, is repeated from the last
page that was sent, and the rows that come twice have the same ids.
"""

from shared.export.action_log import LogExporter, LogResult
from shared.export.connection_export import PAGE, ExportResult, ExportTools
from shared.export.deletions import GoneTickets
from shared.export.exporter import Exporter
from shared.export.positions import ExportOrders, ExportStore
from shared.export.status import ExportStatus, export_statuses, reasons_of_exports

__all__ = [
    "PAGE",
    "ExportOrders",
    "ExportResult",
    "ExportStatus",
    "ExportStore",
    "ExportTools",
    "Exporter",
    "GoneTickets",
    "LogExporter",
    "LogResult",
    "export_statuses",
    "reasons_of_exports",
]
