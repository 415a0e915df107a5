"""Shows what was measured: for a terminal, and as a part of a page."""

from collections.abc import Callable, Iterable, Iterator

from bench.peers import BASE, KINDS, OURS
from bench.results import Results, Spread
from bench.targets import FLOORS, ROUNDS, TARGETS, Target
from bench.workloads import WORKLOADS

# Between two numbers, on a page.
DASH = "\N{EN DASH}"
BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
# The same around what takes long, which is a run of its own.
LONG = ("<!-- bench, long: begin -->", "<!-- bench, long: end -->")

# What the other measurements are called, and how their figures are shown.
_TIMES: dict[str, str] = {
    "accept": "to connect 1000 times, with one call each",
    "again": "one more call on each",
    "startup": "a program: import, connect, one call, end",
    "import": "import, in a fresh process",
}


def number(value: float) -> str:
    """Show a ratio with three digits or so."""
    if value >= 9.95:
        return f"{value:,.0f}" if value >= 99.5 else f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"


def spread(found: Spread | None, dash: str = "-") -> str:
    """Show the median of some ratios, and how far they lie apart."""
    if found is None:
        return ""
    return f"{number(found.middle)} ({number(found.low)}{dash}{number(found.high)})"


def rate(value: float) -> str:
    """Show operations in a second."""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def duration(seconds: float) -> str:
    """Show a time."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _order(names: Iterable[str]) -> list[str]:
    """Put kinds in the order of the table of kinds, and behind them what is no kind."""
    known = list(KINDS)
    return sorted(names, key=lambda name: known.index(name) if name in known else len(known))


# For the terminal.


def text(results: Results) -> str:
    """Give all tables for a terminal."""
    parts = [
        _about(results),
        *_workloads(results),
        _latency(results),
        _connections(results),
        *_startup(results),
        _codec(results),
        _growth(results),
        _long(results),
        _failures(results),
        _summary(results),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _about(results: Results) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    lines = [f"{name}: {value}" for name, value in results.about.items()]
    return [*lines, f"versions: {versions}"] if versions else lines


def _targets(what: str, kind: str) -> list[Target]:
    return [target for target in TARGETS if (target.what, target.kind) == (what, kind)]


def _verdicts(results: Results, what: str, kind: str) -> Iterator[str]:
    said = [
        f"{target.verdict(results)}: {target.wanted()}"
        for target in _targets(what, kind)
        if target.measured(results) is not None
    ]
    if said:
        yield f"    {'; '.join(said)}"


def _workloads(results: Results) -> Iterator[list[str]]:
    for key, workload in WORKLOADS.items():
        kinds = _order(results.rates.get(key, {}))
        if not kinds:
            continue
        unit = "calls /s" if workload.calls == 1 or key == "in_flight" else "/s"
        lines = [
            f"{workload.title}: {workload.what}",
            f"  {'':<24}{unit:>12}{'x ' + BASE:>24}{'x its floor':>22}",
        ]
        for kind in kinds:
            found = Spread.of(results.figures(key, kind))
            if found is None:
                continue
            # A floor sends a thousand messages as one.
            base = FLOORS.get(kind, "") if key != "in_flight" else ""
            lines.append(
                f"  {kind:<24}{rate(found.middle * workload.calls):>12}"
                f"{spread(Spread.of(results.ratios(key, kind, BASE))):>24}"
                f"{spread(Spread.of(results.ratios(key, kind, base))):>22}".rstrip()
            )
            lines += _verdicts(results, key, kind)
        lines += [f"  * {'; '.join(kinds)}: {note}" for note, kinds in _noted(results, key)]
        yield lines


def _latency(results: Results) -> list[str]:
    if not results.latency:
        return []
    lines = [
        "latency of sequential calls",
        f"  {'':<24}{'p50':>10}{'p99':>10}{'p99/p50':>10}{'x that of its floor':>26}",
    ]
    for kind in _order(results.latency):
        pairs = [pair for pair in results.latency[kind] if pair]
        low = Spread.of([pair[0] for pair in pairs])
        high = Spread.of([pair[1] for pair in pairs])
        tail = Spread.of([pair[1] / pair[0] for pair in pairs])
        if low is None or high is None or tail is None:
            continue
        beside = Spread.of(results.tails(kind, FLOORS[kind])) if kind in FLOORS else None
        lines.append(
            f"  {kind:<24}{duration(low.middle):>10}{duration(high.middle):>10}"
            f"{tail.middle:>10.2f}{spread(beside):>26}".rstrip()
        )
        lines += _verdicts(results, "latency", kind)
    return lines


def _figures(results: Results, what: str, shown: Callable[[float], str]) -> Iterator[str]:
    """Give the lines of one of the other measurements."""
    figures = results.others.get(what, {})
    base = BASE if BASE in figures else "import asyncio"
    for kind in _order(figures):
        found = Spread.of(figures[kind])
        if found is None:
            continue
        ratios = Spread.of(results.beside(what, kind, base))
        yield f"  {kind:<36}{shown(found.middle):>12}{spread(ratios):>26}".rstrip()
        yield from _verdicts(results, what, kind)


def _connections(results: Results) -> list[str]:
    if not any(results.others.get(what) for what in ("memory", "accept")):
        return []
    head = f"{'':>12}{'x ' + BASE:>26}"
    lines = [f"{'1000 connections: memory of each at the server':<38}{head[10:]}"]
    lines += _figures(results, "memory", lambda value: f"{value / 1024:.2f} KiB")
    for what in ("accept", "again"):
        lines += [_TIMES[what], *_figures(results, what, duration)]
    return lines


def _startup(results: Results) -> Iterator[list[str]]:
    for what, base in (("startup", BASE), ("import", "import asyncio")):
        if results.others.get(what):
            yield [f"{_TIMES[what]} (x {base})", *_figures(results, what, duration)]


def _codec(results: Results) -> list[str]:
    found = {
        name: figures
        for name, figures in results.others.items()
        if name.startswith(("encode: ", "decode: ", "framer: "))
    }
    if not found:
        return []
    lines = [
        "codec alone: times as fast as Twisted's jelly and banana",
        f"  {'':<58}{'compiled':>22}{'uncompiled':>22}",
    ]
    for name in sorted(found, key=lambda name: name.startswith("framer")):
        if name.startswith("framer") and lines[-1].startswith("  ") and "framer" not in lines[-1]:
            lines.append("growth of the framer (8 is linear)")
        columns = (Spread.of(found[name].get(build, [])) for build in ("compiled", "uncompiled"))
        lines.append(f"  {name:<58}" + "".join(f"{spread(column):>22}" for column in columns))
    return lines


def _growth(results: Results) -> list[str]:
    lines = []
    for what, kinds in results.growth.items():
        sizes = next(iter(kinds.values()))
        lines.append(f"echo of n {what}: time for each, beside that for the smallest n")
        lines.append(f"  {'':<24}{'smallest':>10}" + "".join(f"{int(n):>10,}" for n, _ in sizes))
        for kind in _order(kinds):
            per = [seconds / size for size, seconds in kinds[kind]]
            lines.append(
                f"  {kind:<24}{per[0] * 1e9:>7.1f} ns"
                + "".join(f"{value / per[0]:>10.2f}" for value in per)
            )
    return lines


def _long(results: Results) -> list[str]:
    lines = []
    for what, figures in results.others.items():
        if what.startswith("long: "):
            lines.append(what.removeprefix("long: "))
            for kind in _order(figures):
                lines.append(f"  {kind:<24}{spread(Spread.of(figures[kind])):>24}")
    return lines


def _failures(results: Results) -> list[str]:
    lines = []
    for kind, reasons in results.failures.items():
        for workload, why in reasons.items():
            lines.append(f"  {kind}{': ' + workload if workload else ''}: {why}")
    return ["not measured", *lines] if lines else []


def _summary(results: Results) -> list[str]:
    verdicts = [target.verdict(results) for target in TARGETS]
    measured = [verdict for verdict in verdicts if verdict != "not measured"]
    if not measured:
        return []
    reached = sum(verdict.startswith("reached") for verdict in measured)
    lines = [f"targets: {reached} of {len(measured)} reached"]
    if not all(t.firm(results) for t in TARGETS if t.measured(results)):
        lines[0] += f" (some in fewer than {ROUNDS} rounds, which proves nothing)"
    for target, verdict in zip(TARGETS, verdicts, strict=True):
        if verdict.startswith("missed"):
            what = _title(target.what)
            found = _shown(target, target.measured(results))
            lines.append(f"  {what}, {target.kind}: {found}, wanted {target.wanted()}")
    return lines


def _title(what: str) -> str:
    titles = {
        "latency": "latency, p99/p50",
        "memory": "memory of a connection",
        "accept": "time to accept",
        "startup": "startup",
        "import": "import",
    }
    return WORKLOADS[what].title if what in WORKLOADS else titles[what]


def _shown(target: Target, found: Spread | None, dash: str = "-") -> str:
    if found is None:
        return ""
    if target.what == "memory":
        return f"{found.middle / 1024:.2f} KiB"
    return number(found.middle) if target.what == "import" else spread(found, dash)


# For a page.


def _named(kind: str) -> str:
    """Name a kind where nothing else says which are ours."""
    return f"Pellucid, {kind}" if kind in KINDS and KINDS[kind].group == OURS else kind


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def markdown(results: Results) -> str:
    """Give the tables as a part of a page, between its markers."""
    parts = [
        [BEGIN],
        _prose(results),
        ["![Speed beside Twisted PB](performance.svg)"],
        _table(results),
        _notes(results),
        _page_others(results),
        _page_growth(results),
        _page_targets(results),
        [f"* {line.strip()}" for line in _failures(results)[1:]],
        [END],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def _prose(results: Results) -> list[str]:
    return [f"* {line[0].upper()}{line[1:]}." for line in _about(results)]


def _table(results: Results) -> list[str]:
    columns = [key for key in WORKLOADS if results.rates.get(key)]
    if not columns:
        return []
    kinds = _order({kind for key in columns for kind in results.rates[key]})
    lines = [
        f"Times as fast as {BASE}, median (lowest to highest round):",
        "",
        _row("", *(WORKLOADS[key].title for key in columns)),
        _row("---", *("---:" for _ in columns)),
    ]
    for kind in kinds:
        cells = []
        for key in columns:
            ratios = Spread.of(results.ratios(key, kind, BASE))
            cell = "1" if kind == BASE and ratios else spread(ratios, DASH)
            marked = kind in KINDS and key in KINDS[kind].notes and cell
            cells.append(cell + " \\*" * bool(marked))
        lines.append(_row(_named(kind), *cells))
    rates = [
        f"{WORKLOADS[key].title} {rate(found.middle * WORKLOADS[key].calls)}"
        for key in columns
        if (found := Spread.of(results.figures(key, BASE)))
    ]
    return [*lines, "", f"{BASE} made so many calls in a second: {', '.join(rates)}."]


def _notes(results: Results) -> list[str]:
    return [
        f"* {workload.title}, {'; '.join(kinds)}: {note}."
        for key, workload in WORKLOADS.items()
        for note, kinds in _noted(results, key)
    ]


def _noted(results: Results, key: str) -> list[tuple[str, list[str]]]:
    """Give what has to be said about a workload, and of which kinds."""
    said: dict[str, list[str]] = {}
    for kind in KINDS.values():
        if key in kind.notes and results.figures(key, kind.name):
            said.setdefault(kind.notes[key], []).append(kind.name)
    return list(said.items())


def _page_others(results: Results) -> list[str]:
    lines = []
    shows: dict[str, Callable[[float], str]] = {
        "memory": lambda value: f"{value / 1024:.2f} KiB",
        "accept": duration,
        "again": duration,
        "startup": duration,
    }
    found = [what for what in shows if results.others.get(what)]
    if found:
        heads = {"memory": "memory of a connection", "accept": "1000 connections"}
        heads |= {"again": "a call on each", "startup": "a whole program"}
        lines += [_row("", *(heads[what] for what in found)), _row("---", *("---:" for _ in found))]
        for kind in _order({kind for what in found for kind in results.others[what]}):
            cells = []
            for what in found:
                middle = Spread.of(results.others[what].get(kind, []))
                cells.append(shows[what](middle.middle) if middle else "")
            lines.append(_row(_named(kind), *cells))
        lines.append("")
    codec = [name for name in results.others if name.startswith(("encode: ", "decode: "))]
    if codec:
        lines += [
            "The codec alone, times as fast as Twisted's:",
            "",
            _row("", "compiled", "uncompiled"),
            _row("---", "---:", "---:"),
        ]
        for name in codec:
            figures = results.others[name]
            columns = (Spread.of(figures.get(build, [])) for build in ("compiled", "uncompiled"))
            lines.append(_row(name, *(spread(column, DASH) for column in columns)))
    return lines[:-1] if lines and not lines[-1] else lines


def _page_growth(results: Results) -> list[str]:
    lines: list[str] = []
    for what, kinds in results.growth.items():
        sizes = [f"{int(size):,}" for size, _ in next(iter(kinds.values()))]
        lines += [
            "",
            f"An echo of n {what}: the time for each of them, beside that for the smallest n:",
            "",
            _row("", *sizes),
            _row("---", *("---:" for _ in sizes)),
        ]
        for kind in _order(kinds):
            per = [seconds / size for size, seconds in kinds[kind]]
            lines.append(_row(_named(kind), *(f"{value / per[0]:.2f}" for value in per)))
    return lines[1:]


def long_markdown(results: Results) -> str:
    """Give the tables of what takes long as a part of a page, between its markers."""
    measured = {
        what.removeprefix("long: "): figures
        for what, figures in results.others.items()
        if what.startswith("long: ")
    }
    table = [_row("", *measured), _row("---", *("---:" for _ in measured))]
    for kind in _order({kind for figures in measured.values() for kind in figures}):
        found = (Spread.of(figures.get(kind, [])) for figures in measured.values())
        table.append(_row(_named(kind), *(number(each.middle) if each else "" for each in found)))
    parts = [[LONG[0]], _prose(results), table, [LONG[1]]]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _page_targets(results: Results) -> list[str]:
    rows = []
    for target in TARGETS:
        found = target.measured(results)
        if found is not None:
            shown = _shown(target, found, DASH)
            cells = (_title(target.what), target.kind, target.wanted(), shown)
            rows.append(_row(*cells, target.verdict(results)))
    if not rows:
        return []
    head = [_row("", "", "wanted", "measured", ""), _row("---", "---", "---", "---:", "---")]
    return ["What Pellucid is held to:", "", *head, *rows]


def put(page: str, part: str) -> str:
    """Put a part with its markers into a page, in the place of the one before, or at the end."""
    part = part.rstrip("\n") + "\n"
    first, last = part.splitlines()[0], part.splitlines()[-1]
    start, end = page.find(first), page.find(last)
    if 0 <= start < end:
        return page[:start] + part.rstrip("\n") + page[end + len(last) :]
    return page.rstrip("\n") + "\n\n" + part if page.strip() else part
