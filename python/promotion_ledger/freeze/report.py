"""Field two as people see it: one HTML page without scripts and without the network, with its pictures inside."""
from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from ..evidence import Evidence
from .metrics import Measures

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1a1a1a;background:#fff}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{padding:.3rem .6rem;border-bottom:1px solid #ccc;"
    "text-align:right}th:first-child,td:first-child{text-align:left}caption{text-align:left;font-weight:600}"
    ".worse{color:#8a1c1c}.better{color:#14532d}figure{display:inline-block;margin:1rem 1rem 1rem 0}"
    "@media print{body{margin:0;max-width:none}tr{break-inside:avoid}}"
)
#: Measures in which less is better; for the others more is.
_LESS = {"brier", "ece"}
_NEAR = {"calibration_intercept": 0.0, "calibration_slope": 1.0}
#: Counts and shares describe the data and are neither better nor worse.
_NEUTRAL = {"rows", "positive", "positive_rate", "flagged_rate"}


def comparison(title: str, candidate: str, champion: str, ours: Mapping[str, Measures], theirs: Mapping[str, Measures],
               calibration: Mapping[str, Sequence[tuple[int, float, float]]] | None = None, *, summary: str = "") -> Evidence:
    """The difference of two models: every measure of every segment side by side, and calibration as a picture.

    ``calibration``: bins of :func:`metrics.bins` for each model, by its name.
    """
    tables = "".join(_segment(name, candidate, champion, ours[name], theirs.get(name, {})) for name in ours)
    plots = "".join(_plot(name, bins) for name, bins in (calibration or {}).items())
    calibrated = f"<section><h2>Calibration</h2>{plots}</section>" if plots else ""
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title><style>{_STYLE}</style>'
        f"</head><body><main><h1>{_text(title)}</h1><p>{_text(summary)}</p>{calibrated}"
        f"<section><h2>Measures</h2>{tables}</section></main></body></html>\n"
    )
    return Evidence.of_bytes(page.encode(), "text/html")


def _text(value: str) -> str:
    return html.escape(value)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.6g}"


def _verdict(metric: str, ours: float | None, theirs: float | None) -> str:
    if ours is None or theirs is None or ours == theirs or metric in _NEUTRAL:
        return ""
    if metric in _NEAR:
        gain = abs(theirs - _NEAR[metric]) - abs(ours - _NEAR[metric])
    else:
        gain = theirs - ours if metric in _LESS else ours - theirs
    return "better" if gain > 0 else "worse" if gain < 0 else ""


def _segment(name: str, candidate: str, champion: str, ours: Measures, theirs: Measures) -> str:
    rows = []
    for metric, value in ours.items():
        other = theirs.get(metric)
        verdict = _verdict(metric, value, other)
        change = _number(value - other) if value is not None and other is not None else "–"
        said = f'{change} <span class="{verdict}">{verdict}</span>' if verdict else change
        rows.append(f"<tr><td>{_text(metric)}</td><td>{_number(value)}</td><td>{_number(other)}</td><td>{said}</td></tr>")
    head = f"<tr><th>measure</th><th>{_text(candidate)}</th><th>{_text(champion)}</th><th>change</th></tr>"
    return f"<table><caption>{_text(name)}</caption><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def _plot(name: str, bins: Sequence[tuple[int, float, float]]) -> str:
    size, most = 260.0, max([0.05, *(value for _, mean, rate in bins for value in (mean, rate))])

    def at(x: float, y: float) -> tuple[float, float]:
        return 30 + x / most * size, 10 + (1 - y / most) * size

    x0, y0 = at(0, 0)
    x1, y1 = at(most, most)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1f4e79"/>'
                   for x, y in (at(mean, rate) for _, mean, rate in bins))
    words = f"Calibration of {name}: " + "; ".join(f"score {mean:.3f}, observed {rate:.3f}" for _, mean, rate in bins)
    return (
        f'<figure><svg role="img" width="310" height="310" viewBox="0 0 310 310" aria-label="{_text(words)}">'
        f'<rect x="30" y="10" width="{size}" height="{size}" fill="none" stroke="#666"/>'
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="#999" stroke-dasharray="4"/>{dots}'
        f'<text x="160" y="300" text-anchor="middle" font-size="12">mean score, up to {most:.2f}</text>'
        f'<text x="12" y="140" transform="rotate(-90 12 140)" text-anchor="middle" font-size="12">observed rate</text>'
        f"</svg><figcaption>{_text(name)}</figcaption></figure>"
    )
