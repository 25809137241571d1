"""What a killed instance had in work is told from what it had finished, and each figure bears its lease."""

from __future__ import annotations

import time

from typer.testing import CliRunner

from local.__main__ import app
from local.chaos.instances import Killed, back_after, rows
from local.chaos.run import parts
from local.chaos.stage import Log


def heard(*lines: tuple[float, str]) -> Log:
    """A log that took these messages, each at its moment."""
    log = Log()
    log.deliveries = list(lines)
    return log


def test_given_lines_of_the_host_then_the_log_knows_which_messages_it_took_and_no_others() -> None:
    log = Log()
    log.take("12:00:00.000 17 INFO    local.host: message 1f-a of itsm-signals, delivery 1\n")
    log.take("12:00:00.100 17 INFO    deliver 1f2e3d4c: ok in 12.0 ms\n")
    log.take('12:00:00.200 17 INFO    bridge: {"event": "signal_delivered", "id": "x"}\n')
    assert [message for _, message in log.deliveries] == ["1f-a"]
    assert [line["id"] for _, line in log.named("signal_delivered")] == ["x"]
    assert log.last() == ["12:00:00.100 17 INFO    deliver 1f2e3d4c: ok in 12.0 ms\n"]


def test_given_a_killed_instance_then_only_what_others_took_after_it_counts_each_message_once() -> None:
    killed = Killed(30.0, 100.0, heard((98.0, "given back before"), (99.0, "in work"), (99.0, "done"), (99.5, "late")))
    others = [
        heard((98.5, "given back before"), (131.0, "in work"), (140.0, "somebody else's")),
        heard((135.0, "late"), (165.0, "in work")),
    ]
    assert back_after(killed, others) == [31.0, 35.0]


def test_given_two_leases_then_each_figure_says_which_it_belongs_to_and_is_held_against_it() -> None:
    short = Killed(30.0, 100.0, heard((99.0, "a"), (99.0, "b")))
    long = Killed(600.0, 100.0, heard((99.0, "c")))
    found, raw = rows([long, short], heard((120.0, "a"), (131.0, "b"), (701.0, "c")))
    assert [(row.name, row.value, row.met) for row in found] == [
        ("messages in work of an instance killed with a lease of 30 s", "2", True),
        ("seconds until they were all back, lease 30 s", "31", True),
        ("messages in work of an instance killed with a lease of 600 s", "1", True),
        ("seconds until they were all back, lease 600 s", "601", True),
    ]
    assert raw == [{"lease": 30.0, "back_after": [20.0, 31.0]}, {"lease": 600.0, "back_after": [601.0]}]
    late, _ = rows([short], heard((120.0, "a"), (150.0, "b")))
    assert late[1].met is False, "ten seconds above the lease are allowed"


def test_given_an_instance_whose_messages_never_came_back_then_the_figures_are_missed() -> None:
    found, raw = rows([Killed(30.0, time.time() - 100, heard((99.0, "a")))], heard())
    assert [row.met for row in found] == [False, False]
    assert raw == [{"lease": 30.0, "back_after": []}]


def test_given_leases_on_the_command_line_then_a_wrong_one_is_refused_before_anything_starts() -> None:
    runner = CliRunner()
    refused = runner.invoke(app, ["chaos", "--queue-lease", "0.5", "--only", "storm"])
    assert refused.exit_code == 2
    assert "Invalid value for '--queue-lease'" in refused.output
    unknown = runner.invoke(app, ["chaos", "--queue-lease", "30", "--queue-lease", "600", "--only", "nothing"])
    assert unknown.exit_code == 2
    assert "no part nothing" in unknown.output
    assert "storm" in parts(10, 2, 1, [30.0, 600.0])
