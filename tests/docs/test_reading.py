"""The checks of the examples notice what they are for: blocks, commands, wrong fragments, other responses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.fragments import mistakes
from tests.docs.pages import Block, blocks_of, commands_of, hides_commands
from tests.docs.responses import differences

PAGE = """# Page

```console
curl "http://x" \\
  -d '{
    "a": 1 }'          # a comment
# only a comment
export A=1
```

1. In a list:

   ```yaml
   a:
     b: 1
   ```

```
.venv/bin/python bridge.py validate
```
"""


def test_blocks_are_found_with_their_place_also_in_lists() -> None:
    console, listed, plain = blocks_of("docs/x.md", PAGE)
    assert (console.place, console.language) == ("docs/x.md:3", "console")
    assert (listed.text, listed.before) == ("a:\n  b: 1", console)
    assert hides_commands(plain)
    assert not hides_commands(Block("docs/x.md", 1, "", "POST /api/alerts ──> queue"))


def test_a_block_that_is_not_closed_is_named() -> None:
    with pytest.raises(ValueError, match=r"docs/x\.md:2: the block is not closed"):
        blocks_of("docs/x.md", "text\n```console\ncurl x\n")


def test_lines_of_one_command_stay_together_and_comments_are_no_commands() -> None:
    first, second = commands_of(blocks_of("docs/x.md", PAGE)[0])
    assert first.startswith('curl "http://x"')
    assert '"a": 1 }\'' in first
    assert second == "export A=1"


def test_a_quote_that_is_not_closed_is_named() -> None:
    with pytest.raises(ValueError, match=r"docs/x\.md:7: a quote of the command is not closed: curl 'x"):
        commands_of(Block("docs/x.md", 7, "console", "curl 'x\nmake demo"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("throttle:\n  - {name: x, tickets: 1, per: 1h, by: all}", "did you mean 'throttles'"),
        ("throttles:\n  - {name: x, tickets: 1, per: 1 hour-ish, by: all}", "throttles"),
        ("maintenance:\n  - {name: x, changes_of: nobody}", "nobody"),
    ],
)
def test_a_fragment_with_a_mistake_is_found_by_the_loader(text: str, said: str) -> None:
    (found,) = mistakes(Block("docs/x.md", 1, "yaml", text))
    assert said in found


@pytest.mark.parametrize(
    ("printed", "real", "said"),
    [
        ({"a": 1}, {}, "the response has no member 'a'"),
        ({}, {"a": 1}, "the response also has the member 'a': 1"),
        ({"a": [{"b": "x"}]}, {"a": []}, "a is an empty list"),
        ({"a": [{"b": "created"}]}, {"a": [{"b": "existing"}]}, "a.b is 'existing', printed is 'created'"),
        ({"a": True}, {"a": False}, "a is False, printed is True"),
        ({"a": 1}, {"a": "1"}, "a is '1', printed is 1"),
        ({"a": "https://..."}, {"a": "nowhere"}, "a is 'nowhere', printed is 'https://...'"),
        ({"a": "INC0010001"}, {"a": "none"}, "a is 'none', printed is 'INC0010001'"),
        ({"a": "one ... two"}, {"a": "one or the other"}, "a is 'one or the other', printed is 'one ... two'"),
        ({"a": {"x": 1}}, {"a": {"y": 1}}, "a has no member 'x'"),
    ],
)
def test_a_response_that_is_another_one_is_told_by_path(printed: Any, real: Any, said: str) -> None:
    assert said in list(differences(printed, real, ()))


def test_ids_moments_links_and_what_is_null_may_differ() -> None:
    printed = {
        "id": "9b1e...",
        "at": "2026-03-01T12:00:00.000Z",
        "url": "https://...",
        "none": None,
        "n": 3,
        "data": {"a": 1},
    }
    real = {"id": "5d0c", "at": "2027-01-02", "url": "http://127.0.0.1/x", "none": {"at": 1}, "n": 7, "data": {"b": 2}}
    assert list(differences(printed, real, ("data",))) == []
