"""The chart: for each workload a panel of bars, on one logarithmic axis with Twisted PB at 1."""

import math
from html import escape

from bench.peers import BASE, FLOOR, KINDS, OURS, PEER
from bench.report import number
from bench.results import Results, Spread
from bench.workloads import WORKLOADS

_LABEL = 170
_BARS = 230
_WIDTH = _LABEL + _BARS + 50
_LINE = 18
_HEAD = 44
_STYLE = """
  text { font: 12px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 13px; }
  .name-ours { font-weight: 600; }
  .small { font-size: 10px; fill: #57606a; }
  .ours { fill: #0969da; } .peer { fill: #9a6700; } .floor { fill: #8c959f; }
  .grid { stroke: #d0d7de; } .one { stroke: #57606a; } .low { stroke: #24292f; opacity: .55; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9198a1; }
    .ours { fill: #4493f8; } .peer { fill: #d29922; } .floor { fill: #656c76; }
    .grid { stroke: #3d444d; } .one { stroke: #9198a1; } .low { stroke: #e6edf3; }
  }
"""
_GROUPS = {OURS: "Pellucid", PEER: "others", FLOOR: "floors: no objects, next to no protocol"}


def draw(results: Results) -> str:
    """Give the chart as SVG."""
    panels = []
    for key, workload in WORKLOADS.items():
        bars = _bars(results, key)
        if len(bars) > 1:
            panels.append((workload.title, bars))
    body, top = [], 34
    for row in range(0, len(panels), 2):
        pair = panels[row : row + 2]
        for column, (title, bars) in enumerate(pair):
            body.append(f'<g transform="translate({column * _WIDTH + 10} {top})">')
            body += _panel(title, bars)
            body.append("</g>")
        top += _HEAD + _LINE * max(len(bars) for _, bars in pair) + 14
    width = 2 * _WIDTH + 20
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {top}" '
        f'width="{width}" height="{top}" role="img" aria-labelledby="name">',
        f'<title id="name">Operations in a second beside {BASE}, for each workload</title>',
        f"<style>{_STYLE}</style>",
        f'<text x="10" y="18" class="title">Times as fast as {BASE} (logarithmic)</text>',
        *_legend(width),
    ]
    return "\n".join([*head, *body, "</svg>"]) + "\n"


def _bars(results: Results, key: str) -> list[tuple[str, str, Spread]]:
    """Give the kinds with their groups, fastest first."""
    found = []
    for kind in results.rates.get(key, {}):
        ratios = Spread.of(results.ratios(key, kind, BASE))
        if ratios is not None:
            found.append((kind, KINDS[kind].group if kind in KINDS else PEER, ratios))
    return sorted(found, key=lambda bar: -bar[2].middle)


def _legend(width: int) -> list[str]:
    lines, x = [], 330
    for group, text in _GROUPS.items():
        lines.append(f'<rect x="{x}" y="8" width="12" height="12" class="{group}"/>')
        lines.append(f'<text x="{x + 17}" y="18">{text}</text>')
        x += 40 + 7 * len(text)
    return lines


def _panel(title: str, bars: list[tuple[str, str, Spread]]) -> list[str]:
    low = math.floor(math.log10(min(0.9, *(ratios.low for _, _, ratios in bars))))
    high = math.ceil(math.log10(max(1.1, *(ratios.high for _, _, ratios in bars))))
    bottom = _HEAD + _LINE * len(bars)

    def place(value: float) -> float:
        return _LABEL + _BARS * (math.log10(value) - low) / (high - low)

    lines = [f'<text x="0" y="20" class="title">{escape(title)}</text>']
    for power in range(low, high + 1):
        x = place(10.0**power)
        kind = "one" if power == 0 else "grid"
        lines.append(f'<line x1="{x:.1f}" y1="38" x2="{x:.1f}" y2="{bottom}" class="{kind}"/>')
        label = f"{10.0**power:g}"
        lines.append(f'<text x="{x:.1f}" y="34" class="small" text-anchor="middle">{label}</text>')
    for index, (kind, group, ratios) in enumerate(bars):
        y = _HEAD + _LINE * index
        left, right = sorted((place(1), place(ratios.middle)))
        first, last = place(ratios.low), place(ratios.high)
        lines += [
            f'<text x="{_LABEL - 8}" y="{y + 11}" text-anchor="end" class="name-{group}">'
            f"{escape(kind)}</text>",
            f'<rect x="{left:.1f}" y="{y}" width="{max(right - left, 1):.1f}" height="13" '
            f'class="{group}"/>',
            f'<line x1="{first:.1f}" y1="{y + 6.5}" x2="{last:.1f}" y2="{y + 6.5}" class="low"/>',
            f'<text x="{max(right, last) + 5:.1f}" y="{y + 11}">{number(ratios.middle)}</text>',
        ]
    return lines
