"""Names of people are hashed or dropped before a row leaves. Pure.

A hash is the beginning of an HMAC-SHA256 of the name, without regard to case and outer spaces: the same person has the
same hash in every table and release, and nobody without the key can try names. Names of people in free text (title,
description) stay: leave those fields out where they must not be stored.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace

from shared.config.export import Redaction
from shared.core.export import ExportField, ExportValue, TicketRecord

#: Hexadecimal digits of a hash: 64 bits, so that two people of one company never share one.
DIGITS = 16


class NameRedactor:
    """Redacts records.

    Args:
        redactions: what happens to which field or further column.
        key: of the hashes; empty where nothing is hashed.
    """

    def __init__(self, redactions: Mapping[str, Redaction], key: bytes = b"") -> None:
        self._redactions = redactions
        self._key = key

    def redact(self, record: TicketRecord) -> TicketRecord:
        """The record without the names that are not to be stored."""
        if not self._redactions:
            return record
        values: dict[ExportField, ExportValue] = {}
        for field, value in record.values.items():
            if text := self._kept(field.value, value):
                values[field] = text
        more = {name: str(text) for name, value in record.more.items() if (text := self._kept(name, value))}
        return replace(record, values=values, more=more)

    def _kept(self, name: str, value: ExportValue) -> ExportValue:
        how = self._redactions.get(name)
        if how is None:
            return value
        return self._hash(str(value)) if how == "hash" else ""

    def _hash(self, name: str) -> str:
        text = name.strip().casefold().encode()
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()[:DIGITS] if text else ""
