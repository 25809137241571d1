"""How the long text of a ticket presents a kind of signal: which facts, in which order, under which names.

A source contributes the layouts of its kinds; see ``SourcePlugin.layouts``.
"""

from __future__ import annotations

from typing import NamedTuple


class Layout(NamedTuple):
    """The presentation of one kind.

    Attributes:
        rule: what the signal's rule is called. portal: what its page is called.
        began: what its beginning is called.
        severities: names of the severities 0 to 4.
        facts: names of details, each with what it is called; one line each.
        texts: names of details that are long, each with its heading.
        dimensions: heading of the table of dimensions, ``""`` where they only repeat the facts.
    """

    rule: str = "Rule"
    portal: str = "Alert in Azure"
    began: str = "Fired"
    severities: tuple[str, ...] = ("Sev0", "Sev1", "Sev2", "Sev3", "Sev4")
    facts: tuple[tuple[str, str], ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    dimensions: str = "Dimensions"


#: For findings, whose sources rate them in words.
RATINGS = ("Critical", "High", "Medium", "Low", "Informational")

#: For every kind that has no presentation of its own.
PLAIN = Layout()
