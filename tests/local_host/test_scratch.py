"""Nothing is left in the temporary directory, however a process ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.scratch import scratch, sweep
from tests.local_host.support import ROOT, eventually_sync, first_line, process


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def test_a_folder_goes_with_its_context_and_is_not_swept_meanwhile(temporary: Path) -> None:
    with scratch("one") as one, scratch("two") as two:
        sweep(new=0)
        assert sorted(temporary.iterdir()) == sorted((one, two))
    assert not list(temporary.iterdir())


def test_the_folder_of_a_killed_process_is_removed_by_the_next_one(temporary: Path) -> None:
    code = "from local.scratch import scratch; import time\nwith scratch('x'): print('up', flush=True); time.sleep(60)"
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=ROOT, env=environment) as child:
        assert child.stdout is not None
        assert child.stdout.readline()
        sweep(new=0)
        assert len(list(temporary.iterdir())) == 1
        child.kill()
    (temporary / "somebody else's").mkdir()
    sweep()
    assert len(list(temporary.iterdir())) == 2, "it may be too new to be locked"
    sweep(new=0)
    assert [entry.name for entry in temporary.iterdir()] == ["somebody else's"]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_local_up_leaves_nothing_behind(temporary: Path, end: signal.Signals) -> None:
    with process("local", "up", environment={"TMPDIR": str(temporary)}) as up:
        first_line(up)
        assert list(temporary.iterdir())
        up.send_signal(end)
        up.wait(30)
        begun = time.monotonic()
        eventually_sync(lambda: not list(temporary.iterdir()))
        assert time.monotonic() - begun < 30
