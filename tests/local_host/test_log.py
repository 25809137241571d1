from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from local.host import log


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Logging as it was before the test."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), {name: logging.getLogger(name).level for name in ("azure", "httpx")})
    flags = (logging.logThreads, logging.logProcesses, logging.logMultiprocessing)
    yield
    root.level, root.handlers[:] = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)
    logging.logThreads, logging.logProcesses, logging.logMultiprocessing = flags


def lines(capfd: pytest.CaptureFixture[str]) -> list[str]:
    out, err = capfd.readouterr()
    assert out == ""
    return err.splitlines()


def test_text_lines_name_the_function_they_belong_to(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("text", logging.INFO)
    logging.getLogger("contoso").info("before %d", 1)
    token = log.current.set(("deliver", "0123456789abcdef"))
    logging.getLogger("contoso").warning("inside")
    log.current.reset(token)
    logging.getLogger("contoso").debug("not written")
    before, inside = lines(capfd)
    assert before.endswith(" INFO    contoso: before 1")
    assert inside.endswith(" WARNING deliver 01234567: inside")


def test_json_lines_hold_everything(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("json", logging.INFO)
    token = log.current.set(("deliver", "0123456789abcdef"))
    try:
        raise ValueError("a reason")
    except ValueError:
        logging.getLogger("contoso").exception("failed", extra={"outcome": "failed", "ms": 1.5})
    log.current.reset(token)
    [line] = [json.loads(line) for line in lines(capfd)]
    assert (line["level"], line["logger"], line["message"]) == ("error", "contoso", "failed")
    assert (line["function"], line["invocation_id"]) == ("deliver", "0123456789abcdef")
    assert (line["outcome"], line["ms"]) == ("failed", 1.5)
    assert "ValueError: a reason" in line["exception"]
    assert line["pid"] > 0


def test_libraries_that_log_every_request_are_heard_at_level_debug_only(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("text", logging.INFO)
    logging.getLogger("azure.core").info("headers")
    assert lines(capfd) == []
    logging.getLogger("azure").setLevel(logging.NOTSET)
    log.configure("text", logging.DEBUG, show_pid=True)
    logging.getLogger("azure.core").info("headers")
    [line] = lines(capfd)
    assert line.endswith("INFO    azure.core: headers")
