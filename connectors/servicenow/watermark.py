"""The position up to which the changes of a table were read, as text that is stored. Pure.

The table is read by keyset in the order of (sys_updated_on, sys_id). After a reading that came to the end, the next one
begins a little earlier, because a row may be committed after its time stamp was taken, and the clocks of an
instance's nodes differ; a row that was read before is recognised by id and revision and left out.

Source: ServiceNow docs, "Table API"; that ``sys_updated_on`` has a resolution of one second and no order of its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

#: Seconds before the newest change from which the next reading begins.
OVERLAP = 120

#: Seconds, by the instance's own clock, after which no older change appears any more.
SETTLED = 900

_FORMAT = "1"
_STORED = "%Y-%m-%d %H:%M:%S"
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class WatermarkRead:
    """A row that was read: when it changed (UTC, whole seconds), its id and its revision."""

    at: datetime
    id: str
    revision: str


@dataclass(frozen=True, slots=True)
class Watermark:
    """The position of the reading. Times are seconds since 1970, by the instance's clock.

    Attributes:
        since: where this reading began; None: everything is read.
        after: the last row that this reading has seen, as time and id; None at its start.
        offset: rows after ``after`` that are hidden from us and were skipped.
        newest: newest change seen so far; the instance's present time where a row bears a later one.
        started: when this reading began, None where the instance did not say.
        seen: marks of the rows read, by time, as far back as the next reading goes.
    """

    since: int | None = None
    after: tuple[int, str] | None = None
    offset: int = 0
    newest: int | None = None
    started: int | None = None
    seen: dict[int, frozenset[bytes]] = field(default_factory=dict)

    def has_seen(self, row: WatermarkRead) -> bool:
        """Whether this revision of the row was read before."""
        return _digest(row) in self.seen.get(_seconds(row.at), frozenset())

    def advance(self, rows: Iterable[WatermarkRead], *, more: bool, skipped: int, now: float | None) -> Watermark:
        """The mark after a page.

        Args:
            rows: of the page, in their order, including those that were read before.
            more: whether more rows follow.
            skipped: rows that the page covered although none was visible.
            now: the instance's time before the page was asked for, seconds since 1970.
        """
        after, newest = self.after, self.newest
        fresh: dict[int, set[bytes]] = {}
        for row in rows:
            at = _seconds(row.at)
            fresh.setdefault(at, set()).add(_digest(row))
            # A time that is still to come was written by an import: what changes until then must not be missed.
            known = at if now is None else min(at, int(now))
            after, newest = (at, row.id), known if newest is None else max(known, newest)
        seen = self.seen | {at: self.seen.get(at, frozenset()) | marks for at, marks in fresh.items()}
        started = self.started
        if self.after is None and self.offset == 0:
            started = None if now is None else int(now)
        moved = Watermark(
            since=self.since,
            after=after,
            offset=0 if fresh else self.offset + skipped,
            newest=newest,
            started=started,
            seen=_since(seen, None if newest is None else newest - OVERLAP),
        )
        return moved if more else moved._finished()

    def _finished(self) -> Watermark:
        """The mark from which the next reading begins."""
        starts = [] if self.newest is None else [self.newest - OVERLAP]
        if self.started is not None and (starts or self.since is not None):
            starts.append(self.started - SETTLED)
        since = max(starts) if starts else self.since
        if since is not None and self.since is not None:
            since = max(since, self.since)
        return replace(self, since=since, after=None, offset=0, started=None, seen=_since(self.seen, since))

    def encode(self) -> str:
        """As text."""
        head = {"s": self.since, "a": self.after, "o": self.offset, "n": self.newest, "t": self.started}
        body = b"".join(
            struct.pack(">qI", at, len(marks)) + b"".join(sorted(marks)) for at, marks in sorted(self.seen.items())
        )
        header = json.dumps(head, separators=(",", ":")).encode()
        return ".".join((_FORMAT, base64.urlsafe_b64encode(header).decode(), base64.urlsafe_b64encode(body).decode()))


def decode(text: str) -> Watermark:
    """Read what :meth:`Watermark.encode` wrote. Raises ValueError for anything else."""
    try:
        form, head, body = text.split(".")
        if form != _FORMAT:
            raise ValueError(f"format {form[:20]!r} is not known")
        values = json.loads(base64.urlsafe_b64decode(head))
        after = None if values["a"] is None else (int(values["a"][0]), str(values["a"][1]))
        since, newest, started = (None if values[name] is None else int(values[name]) for name in ("s", "n", "t"))
        return Watermark(since, after, int(values["o"]), newest, started, _unpack(base64.urlsafe_b64decode(body)))
    except (binascii.Error, struct.error, KeyError, TypeError, IndexError) as error:
        raise ValueError(f"it cannot be read: {type(error).__name__}") from error


def format_time(seconds: int) -> str:
    """A time as queries write it."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_STORED)


def parse_time(text: str) -> datetime | None:
    """A time as the Table API gives it (UTC, ``YYYY-MM-DD HH:MM:SS``); None for anything else."""
    if len(text) != 19 or text[10] != " ":
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def _unpack(body: bytes) -> dict[int, frozenset[bytes]]:
    seen: dict[int, frozenset[bytes]] = {}
    position = 0
    while position < len(body):
        at, count = struct.unpack_from(">qI", body, position)
        position += struct.calcsize(">qI")
        if position + count * _DIGEST > len(body):
            raise ValueError("it is cut")
        seen[at] = frozenset(body[position + n * _DIGEST : position + (n + 1) * _DIGEST] for n in range(count))
        position += count * _DIGEST
    return seen


def _since(seen: dict[int, frozenset[bytes]], start: int | None) -> dict[int, frozenset[bytes]]:
    return seen if start is None else {at: marks for at, marks in seen.items() if at >= start}


def _digest(row: WatermarkRead) -> bytes:
    return hashlib.blake2b(f"{row.id}@{row.revision}".encode(), digest_size=_DIGEST).digest()


def _seconds(at: datetime) -> int:
    return int(at.timestamp())
