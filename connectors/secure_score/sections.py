"""The section ``secure_score`` of bridge.yaml, and the mistakes in it that no single value shows."""

from __future__ import annotations

from typing import Any

from connectors.secure_score.settings import WORDS, SecureScoreSettings
from shared.config.condition_sets import patterns_cover
from shared.core.plugins import ConfigPath, ConfigView, Mistake, Section


def sections() -> tuple[Section, ...]:
    """The section."""
    return (
        Section(
            "secure_score",
            SecureScoreSettings,
            "Microsoft 365 Secure Score. Left out: nothing is read or written back, and controls that are sent are "
            "handled by the routes.",
            check=_check,
            warn=_warn,
            makes_tickets=lambda data: isinstance(data, dict),
            reserved="secure_score",
        ),
    )


#: What the template of a comment may use.
_TICKET = frozenset({"number", "state", "url", "kind", "owner", "close_code"})


def _check(view: ConfigView) -> list[Mistake]:
    """Connection, fields, words of conditions, states and comments."""
    scores = view.data.get("secure_score")
    if not isinstance(scores, dict):
        return []
    connection, kind = scores.get("connection"), scores.get("ticket", "change_request")
    mistakes = view.connection_mistakes(("secure_score", "connection"), connection)
    mistakes += view.check_fields(("secure_score", "fields"), scores.get("fields"), connection, kind)
    mistakes += view.check_closing(("secure_score", "resolve_fields"), scores.get("resolve_fields"), connection, kind)
    for path, rule in _entries(scores, "rules"):
        mistakes += view.check_fields((*path, "fields"), rule.get("fields"), connection, kind)
        when = rule.get("when")
        when = when if isinstance(when, dict) else {}
        for name, words in WORDS.items():
            mistakes += view.check_patterns((*path, "when", name), when.get(name), words, name.replace("_", " "))
    for path, entry in _entries(scores, "states"):
        mistakes += view.check_template((*path, "comment"), entry.get("comment"), {"ticket": _TICKET})
        state = entry.get("state")
        if view.states and isinstance(state, str) and state.casefold() not in view.states:
            names = sorted({name for word, name in view.states.items() if not word.lstrip("-").isdecimal()})
            fix = view.suggest_value(state, names, "add it to states.names of its connection")
            mistakes.append(((*path, "state"), f"no connection has a state '{state}'.{fix}"))
    return mistakes


def _warn(view: ConfigView) -> list[Mistake]:
    """Rules that an earlier one makes unreachable."""
    scores = view.data.get("secure_score")
    rules = _entries(scores, "rules") if isinstance(scores, dict) else []
    found: list[Mistake] = []
    for index, (path, rule) in enumerate(rules):
        for _, earlier in rules[:index]:
            if _covers(earlier.get("when") or {}, rule.get("when") or {}):
                name = earlier.get("name")
                text = f"never reached: the rule '{name}' above takes all of its controls. Fix: put it above '{name}'"
                found.append(((*path, "when"), f"{text}, or remove it"))
                break
    return found


def _covers(wide: dict[str, Any], narrow: dict[str, Any]) -> bool:
    """Whether every control that fulfils ``narrow`` fulfils ``wide``."""
    for name, wanted in wide.items():
        given = narrow.get(name)
        if wanted is None or wanted is False:
            continue
        if given is None or given is False:
            return False
        if name == "max_score":
            fits = given >= wanted
        elif name in ("rank", "below"):
            fits = given <= wanted
        elif isinstance(wanted, bool):
            fits = True
        else:
            fits = patterns_cover(_texts(wanted), _texts(given))
        if not fits:
            return False
    return True


def _texts(given: Any) -> list[str]:
    return [given] if isinstance(given, str) else [str(one) for one in given]


def _entries(scores: dict[str, Any], name: str) -> list[tuple[ConfigPath, dict[str, Any]]]:
    found = scores.get(name)
    return [
        (("secure_score", name, index), entry)
        for index, entry in enumerate(found if isinstance(found, list) else [])
        if isinstance(entry, dict)
    ]
