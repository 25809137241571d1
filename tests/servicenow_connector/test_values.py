"""Pure parts: what counts as dropped, how text is cut, how a query is built, what is remembered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.servicenow.auth.credentials import Redactor, Secret
from connectors.servicenow.references import MAX_ENTRIES, NEGATIVE_TTL, LookupCache
from connectors.servicenow.tables import clean, cut, dropped, note_text
from connectors.servicenow.wire import any_of, display, equal, plain, searchable, shorten, value
from shared.core.ticket_system import Note

ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ("2", "2"),
        ("2", 2),
        ("2", "2.0"),
        ("true", "true"),
        ("True", "true"),
        ("true", True),
        ("1", "true"),
        ("false", "0"),
        ("text  \n", "text"),
        ("a\r\nb", "a\nb"),
        (ID, ID),
        (ID.upper(), ID),
        (ID, {"link": "https://contoso.service-now.com/api/now/table/sys_user/x", "value": ID}),
        (ID, {"display_value": "Network", "value": ID}),
        ("", ""),
    ],
)
def test_the_same_value_in_other_clothes_is_not_dropped(sent: str, echoed: object) -> None:
    assert dropped({"field": sent}, {"field": echoed}) == ()


@pytest.mark.parametrize(
    ("sent", "echoed"),
    [
        ("1", "5"),
        ("text", "tex"),
        ("text", "other"),
        ("text", ""),
        ("text", None),
        ("Text", "text"),
        ("", "default"),
        (ID, ""),
        (ID, "f" * 32),
        ("true", "false"),
        ("2026-01-02 03:04:05", "2026-01-02 04:04:05"),
    ],
)
def test_another_value_is_dropped(sent: str, echoed: object) -> None:
    assert dropped({"field": sent}, {"field": echoed}) == ("field",)


def test_a_field_that_does_not_come_back_is_dropped_and_journals_are_never_compared() -> None:
    sent = {"u_unknown": "x", "work_notes": "a", "comments": "b", "short_description": "c"}
    assert dropped(sent, {"work_notes": "", "short_description": "c"}) == ("u_unknown",)


def test_value_and_display_read_every_shape() -> None:
    row = {
        "a": {"display_value": "Closed", "value": "7"},
        "b": "x",
        "c": {"display_value": "only"},
        "d": None,
        "e": False,
    }
    assert [value(row, name) for name in "abcdef"] == ["7", "x", "only", None, "false", None]
    assert [display(row, name) for name in "abd"] == ["Closed", "x", None]


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_cleaned_text_can_be_sent_and_cleaning_again_changes_nothing(text: str) -> None:
    once = clean(text)
    once.encode()
    assert clean(once) == once
    assert dropped({"description": once}, {"description": once}) == ()


@pytest.mark.parametrize(
    ("dirty", "expected"),
    [
        ("a\x00b\x07", "ab"),
        ("lone \ud83d half", "lone \ufffd half"),
        ("tab\tline\r\n", "tab\tline\r\n"),
        ("\ufffe", ""),
    ],
)
def test_what_cannot_be_stored_is_taken_out(dirty: str, expected: str) -> None:
    assert clean(dirty) == expected


def test_text_is_cut_at_the_length_of_its_column_with_an_ellipsis() -> None:
    assert cut("short_description", "x" * 160) == "x" * 160
    assert cut("short_description", "x" * 161) == "x" * 159 + "…"
    assert cut("u_anything", "x" * 50_000) == "x" * 50_000


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet="ab \n", min_size=3900, max_size=4200), st.booleans())
def test_a_note_keeps_its_marker_however_long_it_is(body: str, last: bool) -> None:
    mark = "[bridge:0123456789ab]"
    text = note_text(Note(f"{body}\n\n{mark}" if last else f"{mark}\n{body}", mark))
    assert mark in text
    assert len(text) <= 4000


def test_a_value_in_a_query_stays_a_value() -> None:
    assert equal("name", "a^active=false^NQname=b") == "name=a^^active=false^^NQname=b"
    assert any_of([equal("a", "1"), equal("b", "2")]) == "a=1^ORb=2"
    assert not searchable("javascript:gs.getUserID()")
    assert not searchable(" JavaScript:x")
    assert not searchable("  ")
    assert not searchable("two\nlines")
    assert searchable("Network")


def test_html_becomes_text() -> None:
    assert plain("<p>a &amp; b</p><script>x()</script>") == "a & b"
    assert plain("no html < here") == "no html < here"
    assert shorten("x" * 400) == "x" * 299 + "…"


def test_a_secret_does_not_show_in_what_holds_it() -> None:
    secret = Secret("demo-password")
    assert "demo-password" not in repr({"a": [secret]})
    assert f"Bearer {secret}" == "Bearer demo-password"


def test_known_secrets_are_taken_out_in_every_spelling() -> None:
    redactor = Redactor()
    redactor.learn("p&ss w/rd", "")
    said = "you sent p&ss w/rd, p%26ss+w%2Frd, p%26ss%20w%2Frd, cCZzcyB3L3Jk"
    assert redactor.clean(said) == "you sent ***, ***, ***, ***"
    for n in range(200):
        redactor.learn(f"token-{n}")
    assert redactor.clean("token-199") == "***"
    assert "token" not in repr(redactor)


async def test_memory_keeps_found_names_longer_than_missing_ones() -> None:
    now = 0.0
    asked: list[str] = []

    def look_up(name: str, found: str | None) -> Callable[[], Awaitable[str | None]]:
        async def run() -> str | None:
            asked.append(name)
            return found

        return run

    async def get(cache: LookupCache, name: str, found: str | None) -> str | None:
        return await cache.get(name, look_up(name, found), nullcontext())

    cache = LookupCache(3600, clock=lambda: now)
    for _ in range(3):
        assert await get(cache, "here", "1") == "1"
        assert await get(cache, "gone", None) is None
    assert asked == ["here", "gone"]
    now = NEGATIVE_TTL
    await get(cache, "here", "1")
    assert await get(cache, "gone", "2") == "2"
    now = 3600
    await get(cache, "here", "1")
    assert asked == ["here", "gone", "gone", "here"]
    forgetful = LookupCache(0, clock=lambda: now)
    await get(forgetful, "x", "1")
    await get(forgetful, "x", "1")
    assert asked[-2:] == ["x", "x"]


async def test_memory_is_bounded_and_forgets_what_was_not_used_longest() -> None:
    cache = LookupCache(3600)
    asked = 0

    async def look_up() -> str:
        nonlocal asked
        asked += 1
        return "1"

    for n in range(MAX_ENTRIES + 1):
        await cache.get(n, look_up, nullcontext())
        await cache.get(0, look_up, nullcontext())
    assert asked == MAX_ENTRIES + 1
    await cache.get(1, look_up, nullcontext())
    assert asked == MAX_ENTRIES + 2


async def test_memory_looks_a_name_up_once_for_all_who_wait_and_again_when_that_failed() -> None:
    cache = LookupCache(3600)
    gate = asyncio.Event()
    asked = 0

    async def look_up() -> str:
        nonlocal asked
        asked += 1
        await gate.wait()
        if asked == 1:
            raise ValueError("first one fails")
        return "1"

    tasks = [asyncio.create_task(cache.get("x", look_up, nullcontext())) for _ in range(5)]
    await asyncio.sleep(0)
    gate.set()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(done[0], ValueError)
    assert done[1:] == ["1"] * 4
    assert asked == 2
    assert cache._locks == {}
