"""Microsoft Defender for Cloud as a source that the bridge asks and tells: assessments and who has to fix them.

What was found comes from Resource Manager one by one (:class:`Assessments`), and in bulk from Azure Resource Graph
(:class:`ResourceGraph`); who has to fix it is written with :class:`Governance`.
"""

from __future__ import annotations

from connectors.defender.assessments import Assessments
from connectors.defender.governance import Governance
from connectors.defender.resource_graph import PAGE, Page, ResourceGraph

__all__ = ["PAGE", "Assessments", "Governance", "Page", "ResourceGraph"]
