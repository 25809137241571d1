"""Every example of the docs runs as printed: commands, fragments of bridge.yaml, payloads and responses."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import httpx
import pytest

from tests.docs import tables
from tests.docs.fragments import mistakes, row_of
from tests.docs.pages import COMMANDS, OTHERS, Block, all_blocks, commands_of, hides_commands
from tests.docs.responses import differences
from tests.docs.session import Session
from tests.docs.tables import ADVICE, DATA, FIRST_STEPS, FRAGMENTS, NOT_RUN, RESPONSES, NotRun, Shown

BLOCKS = all_blocks()
_EXPORT = re.compile(r"export \w+=")
_MAKE = re.compile(r"make (?P<rest>.*)", re.DOTALL)
_UP = re.compile(r"\S*python -m local up\b")
#: What can be run here.
_RUN = re.compile(r"(\w+=\S+ )*(\S*python bridge\.py|curl|cp|export) ")


def of(*languages: str) -> pytest.MarkDecorator:
    """The blocks in one of the languages, for parametrize."""
    chosen = [block for block in BLOCKS if block.language in languages]
    return pytest.mark.parametrize("block", chosen, ids=[block.place for block in chosen])


def not_run(block: Block, example: str) -> NotRun | None:
    """The row that says why an example is not run."""
    return next((row for row in NOT_RUN if row.file == block.file and re.match(row.begins, example)), None)


def bare(command: str) -> str:
    """The command without a comment at its end."""
    return re.sub(r"[ ]{2,}#[^'\"\n]*$", "", command)


def fail(block: Block, why: str) -> None:
    pytest.fail(f"{block.place}: {why}\n{ADVICE}", pytrace=False)


# Commands


class Runner:
    """Runs the commands of blocks, each block once, and keeps what the last curl of a block printed."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._answers: dict[str, str] = {}
        self._done: dict[tuple[str, bool], subprocess.CompletedProcess[str]] = {}
        #: Whether ``local up`` started, by command; the bridge that runs is itself one of the examples.
        self._started = {".venv/bin/python -m local up --clouds": ""}

    def answer(self, block: Block) -> str:
        """Run a block's commands in order; what its last curl printed, empty without one."""
        if block.place not in self._answers:
            self._answers[block.place] = ""
            try:
                self._run(block)
            finally:
                self.session.calm()
        return self._answers[block.place]

    def _run(self, block: Block) -> None:
        exports = ""
        configured = not any(file == block.file and begins in block.text for file, begins in FIRST_STEPS)
        for command in commands_of(block):
            if not_run(block, command):
                continue
            filled = self.session.fill(bare(command))
            if _EXPORT.match(command):
                exports += f"{filled}\n"
            elif _UP.match(command):
                self._start(block, command, exports + filled)
            elif make := _MAKE.match(filled):
                self._must_work(block, command, f"make --dry-run PYTHON=python3 {make['rest']}", configured)
            elif _RUN.match(command):
                said = self._must_work(block, command, exports + filled, configured)
                if command.startswith("curl "):
                    self._answers[block.place] = said
            else:
                fail(block, f"nothing is known of the command: {command}")

    def _must_work(self, block: Block, command: str, script: str, configured: bool) -> str:
        """What a command prints. What many pages print, such as ``check``, runs once; requests are always sent."""
        if (script, configured) not in self._done or command.startswith("curl "):
            self._done[script, configured] = self.session.run(script, configured=configured)
        done = self._done[script, configured]
        if done.returncode != 0:
            fail(block, f"exit code {done.returncode} of: {command}\nrun as: {script}\n{done.stdout[-2000:]}")
        return done.stdout

    def _start(self, block: Block, command: str, script: str) -> None:
        if script not in self._started:
            self._started[script] = self.session.start(script)
        if trouble := self._started[script]:
            fail(block, f"it does not start: {command}\nrun as: {script}\n{trouble}")


@pytest.fixture(scope="module")
def runner(session: Session) -> Runner:
    return Runner(session)


@of(*COMMANDS)
def test_the_commands_of_a_block_work_as_printed(runner: Runner, block: Block) -> None:
    assert commands_of(block), f"{block.place}: the block has no command"
    runner.answer(block)


# Fragments of bridge.yaml


@of("yaml")
def test_a_fragment_of_the_configuration_is_valid_as_printed(block: Block) -> None:
    if found := mistakes(block):
        known = "its row in FRAGMENTS of tests/docs/tables.py" if row_of(block) else "the sections of the file"
        fail(
            block,
            f"bridge.yaml with this fragment (put by {known}) is not valid:\n" + "\n".join(found) + "\nA fragment that "
            "is no section of its own gets a row in FRAGMENTS.",
        )


# JSON


@of("json")
def test_a_json_example_is_what_the_bridge_answers_or_takes(runner: Runner, block: Block) -> None:
    try:
        printed = json.loads(block.text)
    except ValueError as error:
        fail(block, f"it is not JSON: {error}")
    if not_run(block, block.text):
        return
    shown = shown_of(block)
    if shown is not None:
        body = json.loads(runner.session.fill(json.dumps(shown.body)))
        found = runner.session.request(shown.method, shown.path, json=body).json()
        compare(block, printed, found)
    elif block.before is not None and block.before.language in COMMANDS and (said := runner.answer(block.before)):
        compare(block, printed, json.loads(said))
    else:
        answer = runner.session.request("POST", "/api/preview", json=printed)
        outcomes = [item["outcome"] for item in answer.json().get("items", [])]
        if answer.status_code != 200 or not outcomes or "unreadable" in outcomes:
            fail(
                block,
                f"POST /api/preview does not read it ({answer.status_code}, {answer.text[:500]}). A response that does "
                "not follow its curl command gets a row in RESPONSES of tests/docs/tables.py.",
            )


def shown_of(block: Block) -> Shown | None:
    """The row that says which request a response answers."""
    return next((row for row in RESPONSES if row.file == block.file and row.contains in block.text), None)


def compare(block: Block, printed: Any, found: Any) -> None:
    if wrong := list(differences(printed, found, DATA)):
        fail(block, "the response is another one:\n" + "\n".join(wrong) + f"\n{json.dumps(found)[:2000]}")


# What is printed to look at in a browser


def test_the_printed_user_logs_in_to_the_simulator_and_the_link_of_a_ticket_shows_the_ticket(session: Session) -> None:
    ticket = session.request("GET", "/api/tickets?owner=David Loo").json()["items"][0]
    desk = session.servicenow
    with httpx.Client(base_url=desk["url"], follow_redirects=True) as browser:
        form = browser.get(ticket["url"])
        assert form.url.path == "/login.do"
        fields = {"user_name": desk["username"], "user_password": desk["password"]}
        goto = {"sysparm_goto_url": form.url.params["sysparm_goto_url"]}
        page = browser.post("/login.do", data=fields | goto)
        assert str(page.url) == ticket["url"]
        for text in (ticket["number"], ticket["title"], "David Loo"):
            assert text in page.text
        listed = browser.get(f"/incident_list.do?sysparm_query=number={ticket['number']}")
        assert ticket["title"] in listed.text


# Nothing is left out


def test_every_block_says_what_it_is() -> None:
    known = (*COMMANDS, "yaml", "json", *OTHERS)
    for block in BLOCKS:
        if block.language not in known:
            fail(block, f"nothing checks the language {block.language!r}; use one of {', '.join(filter(None, known))}")
        if hides_commands(block):
            fail(block, "it has commands, but its fence does not say so: write ```console")


def test_every_row_of_the_tables_fits_an_example() -> None:
    examples = [
        (block, example)
        for block in BLOCKS
        if block.language in (*COMMANDS, "json")
        for example in (commands_of(block) if block.language in COMMANDS else [block.text])
    ]
    unused: list[object] = [
        row for row in NOT_RUN if not any(not_run(block, example) is row for block, example in examples)
    ]
    unused += [row for row in FRAGMENTS if row not in [row_of(block) for block in BLOCKS if block.language == "yaml"]]
    unused += [row for row in RESPONSES if row not in [shown_of(block) for block in BLOCKS if block.language == "json"]]
    unused += [row for row in FIRST_STEPS if not any(row[0] == block.file and row[1] in block.text for block in BLOCKS)]
    assert unused == [], f"these rows of {tables.__name__} fit no example any more; delete them"
