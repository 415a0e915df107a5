"""What is shown of the figures: tables, targets, the chart."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest

from bench import chart, report
from bench.peers import BASE, KINDS
from bench.results import Results, Spread
from bench.targets import FLOOR, TARGETS, Target
from bench.targets import KINDS as HELD

ROUNDS = 10


def some(rounds: int = ROUNDS) -> Results:
    """Results with round numbers: asyncio is five times as fast as Twisted PB, and so on."""
    results = Results(about={"machine": "a small one"}, versions={"Python": "3"}, rounds=rounds)
    for key in ("sequential", "in_flight"):
        results.rates[key] = {
            "asyncio": [5000.0] * rounds,
            BASE: [1000.0] * rounds,
            FLOOR: [6000.0] * rounds,
            "Pyro5": [500.0, None],
        }
    results.latency = {"asyncio": [[1.0, 2.0]] * rounds, FLOOR: [[1.0, 1.0]] * rounds}
    results.others = {
        "memory": {"asyncio": [2048.0] * rounds, BASE: [4096.0] * rounds},
        "accept": {"asyncio": [2.0] * rounds, BASE: [1.0] * rounds},
        "again": {"asyncio": [0.0005] * rounds, BASE: [0.01] * rounds},
        "startup": {"asyncio": [0.1] * rounds, BASE: [0.4] * rounds, "Python alone": [0.01]},
        "import": {"import asyncio": [0.02, 0.01], "import pellucid, compiled": [0.012, 0.2]},
        "encode: structure": {"compiled": [20.0], "uncompiled": [4.0]},
        "framer: a string": {"compiled": [8.0]},
        "long: calls": {"asyncio": [0.97]},
    }
    results.growth = {"integers in a list": {"asyncio": [[10.0, 1.0], [20.0, 2.0]]}}
    results.fail("Foolscap", "", "No module named 'foolscap'")
    results.fail("Pyro5", "bytes", "AssertionError: a result is wrong")
    return results


def target(what: str, kind: str = "asyncio", base: str = BASE) -> Target:
    (found,) = (t for t in TARGETS if (t.what, t.kind, t.base) == (what, kind, base))
    return found


# Figures.


def test_the_figures_come_back_from_json() -> None:
    assert Results.load(some().dump()) == some()


@pytest.mark.parametrize("text", ["[]", '{"other": 1}', "nothing"])
def test_what_is_no_result_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no file that the bench wrote"):
        Results.load(text)


def test_ratios_are_of_the_same_round() -> None:
    results = Results()
    for results.rounds, values in enumerate([(4.0, 2.0), (9.0, None), (8.0, 1.0)], 1):
        for kind, value in zip("ab", values, strict=True):
            if value:
                results.rate("sequential", kind, value)
    assert results.rates["sequential"] == {"a": [4.0, 9.0, 8.0], "b": [2.0, None, 1.0]}
    assert results.ratios("sequential", "a", "b") == [2.0, 8.0]
    assert results.figures("sequential", "b") == [2.0, 1.0]
    assert results.ratios("sequential", "a", "c") == []


def test_tails_are_of_the_same_round() -> None:
    results = Results()
    results.rounds = 1
    results.quantiles("a", [1.0, 3.0])
    results.rounds = 2
    results.quantiles("a", [1.0, 6.0])
    results.quantiles("b", [2.0, 4.0])
    assert results.tails("a", "b") == [3.0]


def test_a_spread() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0, 3)
    assert Spread.of([]) is None


# Targets.


@pytest.mark.parametrize(
    ("what", "base", "verdict"),
    [
        ("sequential", BASE, "reached"),
        ("sequential", FLOOR, "reached"),
        ("in_flight", BASE, "missed"),
        ("latency", FLOOR, "missed"),
        ("memory", "", "reached"),
        ("accept", BASE, "missed"),
        ("startup", BASE, "reached"),
        ("structure", BASE, "not measured"),
    ],
)
def test_a_target(what: str, base: str, verdict: str) -> None:
    assert target(what, base=base).verdict(some()) == verdict


def test_the_best_import_counts() -> None:
    imports = target("import", "import pellucid, compiled", "import asyncio")
    spread = imports.measured(some())
    assert spread is not None
    assert spread.middle == pytest.approx(1.2)
    assert imports.verdict(some()) == "reached"


def test_ten_rounds_are_needed() -> None:
    assert target("sequential").firm(some())
    assert not target("sequential").firm(some(9))
    assert "proves nothing" in report.text(some(9))


def test_each_kind_is_held_to_something() -> None:
    assert {t.kind for t in TARGETS} >= set(HELD)
    assert set(HELD) <= set(KINDS)


# Tables.


def test_the_text() -> None:
    lines = report.text(some()).splitlines()
    text = "\n".join(lines)
    (row,) = (line for line in lines if line.startswith("  asyncio") and "5,000 " in line)
    assert "5.00 (5.00-5.00)" in row
    assert "reached: at least 4.2 x Twisted PB" in text
    assert "5,000,000" in text, "a batch is a thousand calls"
    assert "  Foolscap: No module named 'foolscap'" in lines
    assert "  Pyro5: bytes: AssertionError: a result is wrong" in lines
    assert any("in flight, asyncio: 5.00" in line for line in lines), "what is missed is listed"


def test_nothing_gives_an_empty_report() -> None:
    assert report.text(Results()) == "\n"
    assert report.BEGIN in report.markdown(Results())


def test_the_page() -> None:
    page = report.markdown(some())
    assert page.startswith(report.BEGIN)
    assert page.endswith(report.END + "\n")
    (row,) = (line for line in page.splitlines() if line.startswith("| Pellucid, asyncio | 5.00"))
    assert row.count("|") == 4
    assert "| sequential | asyncio | at least 4.2 x Twisted PB |" in page
    assert "* in flight, Pyro5: " in page


def test_the_page_shows_how_cost_grows() -> None:
    results = Results(growth={"integers": {"asyncio": [[10.0, 1e-6], [2000.0, 4e-4]]}})
    lines = report.markdown(results).splitlines()
    assert "|  | 10 | 2,000 |" in lines
    assert "| Pellucid, asyncio | 1.00 | 2.00 |" in lines


def test_the_page_of_what_takes_long() -> None:
    results = Results()
    results.other("long: calls", "asyncio", 0.9)
    results.other("startup", "asyncio", 0.9)
    page = report.long_markdown(results)
    assert page.startswith(report.LONG[0])
    assert page.endswith(report.LONG[1] + "\n")
    assert "|  | calls |\n| --- | ---: |\n| Pellucid, asyncio | 0.90 |" in page


@pytest.mark.parametrize("write", [report.markdown, report.long_markdown])
def test_a_part_is_put_into_a_page(write: Callable[[Results], str]) -> None:
    part = write(some())
    once = report.put("# Performance\n\nBefore.\n", part)
    assert once.startswith("# Performance\n\nBefore.\n\n<!-- ")
    twice = report.put(once + "\nBehind.\n", part)
    assert twice == once + "\nBehind.\n"
    assert report.put("", part) == part


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1234.4, "1,234"),
        (99.6, "100"),
        (12.34, "12.3"),
        (9.96, "10.0"),
        (0.5, "0.50"),
        (0.01, "0.010"),
    ],
)
def test_a_number(value: float, shown: str) -> None:
    assert report.number(value) == shown


# The chart.


def test_the_chart() -> None:
    results = some()
    results.rates["sequential"]["a < b & c"] = [10.0] * ROUNDS
    root = ET.fromstring(chart.draw(results))
    space = "{http://www.w3.org/2000/svg}"
    panels = root.findall(f"{space}g")
    assert len(panels) == 2
    labels = ["".join(text.itertext()) for text in panels[0].iter(f"{space}text")]
    assert "sequential" in labels
    assert "a < b & c" in labels
    width = float(root.attrib["width"])
    for bar in panels[0].iter(f"{space}rect"):
        box: Any = bar.attrib
        assert 0 <= float(box["x"]) < width
        assert float(box["width"]) > 0
    sheet = root.find(f"{space}style")
    assert sheet is not None
    assert "prefers-color-scheme: dark" in (sheet.text or "")


def test_a_chart_of_nothing() -> None:
    ET.fromstring(chart.draw(Results()))
