"""The table, for the terminal and for docs/security.md."""

from attack.outcome import MOST_TIMES, Outcome, Outcomes
from attack.peers import PEERS, is_ours
from attack.registry import ATTACKS

BEGIN, END = "<!-- attack: begin -->", "<!-- attack: end -->"


def peers(outcomes: Outcomes) -> list[str]:
    """Give the peers that were attacked."""
    return [name for name in PEERS if any(each.peer == name for each in outcomes.found)]


def attacks(outcomes: Outcomes) -> list[str]:
    """Give the attacks that were tried."""
    return [name for name in ATTACKS if any(each.attack == name for each in outcomes.found)]


def cell(outcomes: Outcomes, attack: str, peer: str) -> str:
    """Say in one cell what came of an attack."""
    outcome = outcomes.one(attack, peer)
    if outcome is None:
        return "-"
    if not outcome.calls:
        return outcome.ended or "not measured"
    faults = outcomes.faults(outcome) if is_ours(peer) else []
    said = f"{_mb(outcome.growth)} MB, {outcome.cpu:.1f} s, {_honest(outcomes, outcome)}"
    if outcome.log >= 2**20:
        said += f", log {_mb(outcome.log)} MB"
    return f"**{said}**" if faults else said


def _honest(outcomes: Outcomes, outcome: Outcome) -> str:
    if outcome.ended:
        return outcome.ended
    if outcome.wrong:
        return "not answered"
    times = f"{outcomes.times(outcome):.1f}x"
    return f"{times}, nobody new" if outcome.new else times


def _mb(size: int) -> str:
    return f"{size / 2**20:,.0f}"


def faults(outcomes: Outcomes) -> list[str]:
    """Say, one line each, what should not have been."""
    return [
        f"{outcome.attack}, {outcome.peer}: {'; '.join(found)}"
        for outcome in outcomes.found
        if is_ours(outcome.peer) and (found := outcomes.faults(outcome))
    ]


def _rows(outcomes: Outcomes) -> list[list[str]]:
    shown = peers(outcomes)
    rows = [["attack", "bound", *shown]]
    for name in attacks(outcomes):
        bound = outcomes.bounds.get(name)
        said = f"{_mb(bound)} MB" if bound is not None else "-"
        rows.append([name, said, *(cell(outcomes, name, peer) for peer in shown)])
    return rows


def _summary(outcomes: Outcomes) -> list[str]:
    """Give for each peer the worst of all."""
    lines = []
    for peer in peers(outcomes):
        found = [each for each in outcomes.found if each.peer == peer]
        unanswered = sum(1 for each in found if not each.answered)
        slow = sum(1 for each in found if each.answered and outcomes.times(each) >= MOST_TIMES)
        grown = max(each.growth for each in found)
        lines.append(
            f"{peer}: {len(found)} attacks; grew by {_mb(grown)} MB at most; in {unanswered} an "
            f"honest client was not answered, in {slow} it waited {MOST_TIMES:.0f} times as long "
            "or longer"
        )
    return lines


def text(outcomes: Outcomes) -> str:
    """Give all of it for a terminal."""
    rows = _rows(outcomes)
    if not outcomes.found:
        return "nothing was attacked\n"
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(part.ljust(width) for part, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += ["", *_summary(outcomes)]
    lines += [f"{name}: missing: {why}" for name, why in outcomes.missing.items()]
    found = faults(outcomes)
    lines += ["", *(f"FAULT {line}" for line in found)] if found else []
    return "\n".join(lines) + "\n"


def markdown(outcomes: Outcomes) -> str:
    """Give the part of the page that is between the marks."""
    rows = _rows(outcomes)
    lines = [BEGIN, ""]
    lines += [f"* {key.capitalize()}: {value}." for key, value in outcomes.about.items()]
    lines += [f"* {line}." for line in _summary(outcomes)]
    lines += [f"* {name} is missing: {why}." for name, why in outcomes.missing.items()]
    lines += ["", _row(rows[0]), _row(["---"] * 2 + ["---"] * (len(rows[0]) - 2))]
    lines += [_row(row) for row in rows[1:]]
    lines += ["", "What each of them tries:", ""]
    lines += [f"* **{name}**: {ATTACKS[name].about}" for name in attacks(outcomes)]
    lines += ["", END, ""]
    return "\n".join(lines)


def _row(parts: list[str]) -> str:
    return f"| {' | '.join(parts)} |"


def put(page: str, part: str) -> str:
    """Put the part into a page, in the place of the one before, or at the end."""
    start, end = page.find(BEGIN), page.find(END)
    if 0 <= start < end:
        return page[:start] + part.rstrip("\n") + page[end + len(END) :]
    return page.rstrip("\n") + "\n\n" + part if page.strip() else part
