"""Text as it comes: controls, lone surrogates, HTML in every state, JSON in strings."""

from __future__ import annotations

from typing import Any

import pytest

from shared.payloads.markup import plain
from shared.payloads.values import anything, array_of, clean, fold, given, number, object_of, squash, text, texts
from tests.payloads.support import common, event, read


@pytest.mark.parametrize(
    ("html", "words"),
    [
        ("<p>One</p><p>Two</p>", "One\n\nTwo"),
        ("<P CLASS='x'>One</P>\n<p><br></p>\n<p>Two</p>", "One\n\nTwo"),
        ("One<br>Two<br/>Three", "One\nTwo\nThree"),
        ("<ul><li>One</li><li>Two</li></ul>After", "- One\n- Two\n\nAfter"),
        ("<p><strong>Summary:&nbsp;</strong>It&#39;s &lt;down&gt; &amp; out</p>", "Summary: It's <down> & out"),
        ("&lt;p&gt;Escaped once&lt;/p&gt;", "Escaped once"),
        ("&amp;lt;p&amp;gt;Escaped&amp;amp;nbsp;twice&amp;lt;/p&amp;gt;", "Escaped twice"),
        ("<p>Text with &amp;quot;quotes&amp;quot;</p>", 'Text with "quotes"'),
        ('See <a href="https://aka.ms/x" target="_blank">this page</a>.', "See this page (https://aka.ms/x)."),
        ("See <a href='https://aka.ms/x'>https://aka.ms/x</a>.", "See https://aka.ms/x."),
        ("<a href='javascript:alert(1)'>click</a>", "click"),
        ("<a href='https://aka.ms/x'>never closed", "never closed"),
        ("<tr><td>Storage</<td><td>East US<br></td></tr>", "Storage East US"),
        ("<p>broken <b>bold</p", "broken bold</p"),
        ("<style>p { x }</style><script>y()</script><!-- z --><p>Text</p>", "Text"),
        ("<p>Text<!-- never closed", "Text"),
        ("<MESSAGE>", "<MESSAGE>"),
        ("a < b and c > d", "a < b and c > d"),
        ("two\nlines", "two\nlines"),
        ("<p>two\nlines</p>", "two lines"),
        ("caf&eacute; &#8364; &#x20AC; &bogus; &#99999999999;", "café € € &bogus; &#99999999999;"),
        ("  plain  ", "plain"),
        ("", ""),
    ],
)
def test_html_becomes_readable_text(html: str, words: str) -> None:
    assert plain(html) == words


def test_service_health_messages_are_readable() -> None:
    signal = read(event("ServiceHealth", None, communication="<p>One</p><p>Two &amp; three</p>", stage="Active"))
    assert signal.description.startswith("One\n\nTwo & three\n\n")


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a\x00b\x07c\x1bd\x7fe\x85f", "abcdef"),
        ("half \ud83d a pair", "half \ufffd a pair"),
        ("\ufeffmark", "mark"),
        ("one\r\ntwo\rthree\tfour", "one\ntwo\nthree\tfour"),
        ("日本語 😀", "日本語 😀"),
    ],
)
def test_what_no_database_takes_is_cleaned(raw: str, cleaned: str) -> None:
    assert clean(raw) == cleaned
    signal = read(common(description=raw, custom={raw: raw}))
    assert signal.description == cleaned
    assert list(signal.custom_properties.values()) == [cleaned]
    "".join(signal.custom_properties).encode()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (3.0, "3"),
        (0.25, "0.25"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        pytest.param(10**5000, "", id="5001 digits"),
        (None, ""),
        ([], ""),
        ({}, ""),
        ([1, None], ""),
        (" x ", "x"),
    ],
)
def test_a_scalar_is_text(value: Any, words: str) -> None:
    assert text(value) == words


@pytest.mark.parametrize("word", ["null", "NULL", "None", "N/A", "n/a", "<null>", " null ", "\x00null", ""])
def test_words_for_nothing_are_empty(word: str) -> None:
    assert given(word) == ""
    assert given("nullable") == "nullable"


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": {"b": [1, None, "é"]}}, '{"a":{"b":[1,null,"é"]}}'),
        ([1, 2], "[1,2]"),
        ({}, ""),
        ([], ""),
        (None, ""),
        (True, "true"),
        (nested(5000), "(nested too deeply)"),
    ],
)
def test_any_value_of_a_property_is_text(value: Any, words: str) -> None:
    assert anything(value) == words


def test_objects_and_arrays_are_read_from_json_text_too() -> None:
    assert object_of('{"A": 1}') == object_of({"A": 1}) == {"a": 1}
    assert array_of("[1]") == array_of([1]) == [1]
    for odd in ("{", "[", "{]", "[" * 5000, "{}x", "text", None, 7, True, "[In case this is no list]"):
        assert object_of(odd) == {}
        assert array_of(odd) == []


def test_two_spellings_of_a_key_give_the_one_that_has_a_value() -> None:
    for pair in ({"aB": None, "Ab": 1}, {"Ab": 1, "aB": None}):
        assert fold(pair) == {"ab": 1}
    assert fold({"aB": 1, "Ab": 2}) == fold({"Ab": 2, "aB": 1}) == {"ab": 2}


def test_one_text_stands_for_a_list_of_one() -> None:
    assert texts("a") == texts(["a", None, "null", "", {}]) == texts('["a"]') == ["a"]
    assert texts(None) == texts({}) == texts([]) == []


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("1.5", 1.5),
        (2, 2.0),
        ("", None),
        ("x", None),
        (True, None),
        (None, None),
        ("inf", None),
        pytest.param(10**400, None, id="401 digits"),
    ],
)
def test_a_number_is_finite(value: Any, found: float | None) -> None:
    assert number(value) == found


def test_names_compare_without_case_blanks_and_dashes() -> None:
    assert squash("Activity Log - Policy") == squash("activitylog_POLICY") == "activitylogpolicy"
    assert squash(None) == squash({}) == ""
