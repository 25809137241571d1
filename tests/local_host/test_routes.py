from __future__ import annotations

import pytest

from local.host.bindings import Function, HttpTrigger
from local.host.errors import HostError
from local.host.routes import Router


def function(name: str, route: str, *methods: str) -> Function:
    trigger = HttpTrigger("req", route, frozenset(methods) or None, "anonymous")
    return Function(name, print, False, trigger)


ROUTER = Router(
    [
        function("list", "tickets", "GET"),
        function("create", "tickets", "POST"),
        function("any", "tickets/{id}"),
        function("by_number", "tickets/{number:int}"),
        function("newest", "tickets/newest"),
        function("notes", "tickets/{id}/notes/{note?}"),
        function("by_guid", "resources/{id:guid}"),
        function("files", "files/{*path}"),
        function("dotted", "v1.0/x"),
    ],
    "api",
)


@pytest.mark.parametrize(
    ("method", "path", "name", "values"),
    [
        ("GET", "/api/tickets", "list", {}),
        ("POST", "/api/tickets", "create", {}),
        ("GET", "/api/tickets/", "list", {}),
        ("GET", "/API/Tickets", "list", {}),
        ("GET", "/api/tickets/abc", "any", {"id": "abc"}),
        ("PATCH", "/api/tickets/abc", "any", {"id": "abc"}),
        ("GET", "/api/tickets/42", "by_number", {"number": "42"}),
        ("GET", "/api/tickets/newest", "newest", {}),
        ("GET", "/api/tickets/a b/notes", "notes", {"id": "a b"}),
        ("GET", "/api/tickets/a/notes/7", "notes", {"id": "a", "note": "7"}),
        ("GET", "/api/resources/6f1c2b9e-0000-4000-8000-00000000aBcD", "by_guid",
            {"id": "6f1c2b9e-0000-4000-8000-00000000aBcD"}),
        ("GET", "/api/files", "files", {}),
        ("GET", "/api/files/a/b/c.txt", "files", {"path": "a/b/c.txt"}),
        ("GET", "/api/v1.0/x", "dotted", {}),
    ],
)  # fmt: skip
def test_what_a_request_finds(method: str, path: str, name: str, values: dict[str, str]) -> None:
    found = ROUTER.find(method, path)
    assert found is not None
    assert (found[0].name, found[1]) == (name, values)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/api/tickets"),  # the route is there, the method is not
        ("GET", "/tickets"),
        ("GET", "/api"),
        ("GET", "/"),
        ("GET", "/api/tickets/a/b"),
        ("GET", "/api/resources/none"),
        ("GET", "/api/v1_0/x"),
    ],
)
def test_what_a_request_does_not_find(method: str, path: str) -> None:
    assert ROUTER.find(method, path) is None


def test_an_empty_prefix_puts_functions_at_the_root() -> None:
    router = Router([function("alerts", "alerts"), function("home", "")], "")
    for path, name in (("/alerts", "alerts"), ("/", "home")):
        found = router.find("GET", path)
        assert found is not None
        assert found[0].name == name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (function("a", "x"), function("b", "X")),
        (function("a", "x/{id}"), function("b", "x/{name}", "GET")),
        (function("a", "x", "GET", "POST"), function("b", "x", "POST")),
    ],
)
def test_two_functions_for_the_same_request_are_refused(one: Function, other: Function) -> None:
    with pytest.raises(HostError, match="functions a and b have the same route /api/"):
        Router([one, other], "api")


@pytest.mark.parametrize("route", ["x/{id:regex(a)}", "x/a-{id}", "x/{id", "x/{a}{b}", "x/{id=5}"])
def test_templates_that_are_not_supported_are_refused(route: str) -> None:
    with pytest.raises(HostError, match=r"function a: route .* is not supported here"):
        Router([function("a", route)], "api")
