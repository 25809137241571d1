"""Why a route does not take a signal, in words."""

from __future__ import annotations

import pytest

from shared.core.conditions import When
from shared.mapping.route_reasons import why_not
from tests.mapping.signals import signal


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ({"details": {"Metric_Name": "Network In"}}, ["details.Metric_Name is Percentage CPU, wanted is Network In"]),
        ({"not": {"kind": "metric", "severity": 1}}, ['\'not\' excludes it, because this holds: {"kind": "metric"']),
        (
            {"any": [{"kind": "log"}, {"severity": 0, "rule": "disk"}]},
            [
                "none of 'any' holds (1: kind is metric, wanted is log; 2: severity is 1, wanted is 0 and rule is "
                "cpu-high, wanted is disk)"
            ],
        ),
        ({"all": [{"kind": "metric"}, {"severity": 2}]}, ["severity is 1, wanted is 2"]),
        ({"any": [{"kind": "log"}, {"severity": 1}], "not": {"kind": "log"}}, []),
    ],
)
def test_each_condition_that_does_not_hold_is_said(when: dict[str, object], words: list[str]) -> None:
    found = why_not(When.model_validate(when), signal())
    assert len(found) == len(words), found
    assert all(line.startswith(word) for line, word in zip(found, words, strict=True)), found
