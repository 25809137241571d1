"""``bridge.py connect`` on a whole local stand: its token is in use, and nowhere to be read."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from local.demo.alerts import Azure
from local.demo.browser import PERSON
from local.demo.consent import CONNECTION, Consent, free_port, properties, with_consent
from local.running import Running
from shared.core.tokens import HeldTokens
from shared.operations.job_lease import JobLeases
from shared.operations.token_store import TABLE, TableTokens
from shared.platform.storage import Storage

ROOT = Path(__file__).resolve().parents[2]


class Processes:
    """Arguments of every process of this machine, as anybody can read them, while a block runs."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        ended = threading.Event()
        watch = threading.Thread(target=self._watch, args=(ended,))
        watch.start()
        try:
            yield
        finally:
            ended.set()
            watch.join()

    def _watch(self, ended: threading.Event) -> None:
        while not ended.wait(0.02):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    self.seen.add(file.read_bytes().replace(b"\0", b" ").decode(errors="replace"))


async def stored(settings: dict[str, Any]) -> tuple[HeldTokens, list[str]]:
    """The tokens that workers share, and the rows as they are in the storage."""
    storage = Storage(settings)
    try:
        tokens = TableTokens(storage, JobLeases(storage), "a test", lambda: datetime.now(UTC))
        held = await tokens.load(CONNECTION, (settings["SERVICENOW_CLIENT_SECRET"],))
        assert held is not None
        return held, [str(row) async for row in storage.table(TABLE).list_entities()]
    finally:
        await storage.aclose()


def test_given_a_local_stand_when_somebody_connects_then_no_token_and_no_password_can_be_read_anywhere(
    tmp_path: Path,
) -> None:
    port, processes = free_port(), Processes()
    config = tmp_path / "bridge.yaml"
    config.write_text(with_consent((ROOT / "bridge.yaml").read_text("utf-8"), port))
    heard: list[str] = []
    running = Running(["--config", str(config), "--verbose"], heard=heard.append)
    try:
        with processes.watched():
            consent = Consent(running, port)
            said = consent.connected()
            (signal,) = running.post(Azure().metric(str(uuid4()), properties=properties()))
            assert running.outcome(signal)["decision"] == "created"
        settings = running.session["settings"]
        held, rows = asyncio.run(stored(settings))
        session = Path(running.session["session_file"]).read_text("utf-8")
    finally:
        running.close()
    assert f"connected as '{PERSON}'" in said
    assert any("bridge.py --session" in one for one in processes.seen)
    assert any("local.demo.browser" in one for one in processes.seen)
    password = running.session["servicenow"]["accounts"][PERSON]
    everywhere = {"processes": "\n".join(processes.seen), "tables": "\n".join(rows), "output": said}
    everywhere |= {"log": "\n".join([*heard, *running.lines]), "session": session}
    for secret in (held.access, held.refresh):
        assert [name for name, text in everywhere.items() if secret in text] == []
    del everywhere["session"]  # it has the accounts of the simulator, which are made up
    for secret in (password, settings["SERVICENOW_CLIENT_SECRET"]):
        assert [name for name, text in everywhere.items() if secret in text] == []
