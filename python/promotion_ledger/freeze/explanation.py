"""Field five: attribution files, SHAP reports and Plotly figures as evidence that can be shown without scripts."""
from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from ..evidence import Evidence, Source, evidence
from ..promotion import Explanation

if TYPE_CHECKING:
    import plotly.graph_objects


def attribution(values: Any, features: Sequence[str], *, background: Source, tool: str = "shap",
                tool_version: str | None = None) -> Explanation:
    """The mechanical attribution file of the low tiers: mean |attribution| of each feature, highest first, as CSV.

    ``values``: attributions, one row for each case and one column for each feature.
    """
    import numpy as np

    table = np.asarray(values, dtype=float)
    if table.ndim != 2 or table.shape[1] != len(features) or not len(table):
        raise ValueError(f"attributions of shape {table.shape} do not fit {len(features)} features")
    if not np.isfinite(table).all():
        raise ValueError("an attribution is not a finite number")
    rows = sorted(zip(np.abs(table).mean(axis=0).tolist(), table.mean(axis=0).tolist(), features, strict=True),
                  key=lambda row: (-row[0], row[2]))
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["feature", "mean_abs_attribution", "mean_attribution"])
    writer.writerows([name, f"{size:.9g}", f"{mean:.9g}"] for size, mean, name in rows)
    content = Evidence.of_bytes(out.getvalue().encode(), "text/csv")
    return Explanation("attribution", content, evidence(background).sha256, tool, tool_version or version(tool))


def shap_report(shap_explanation: Any, *, background: Source, title: str = "What drives the score") -> Explanation:
    """A SHAP report with its pictures inside: a beeswarm and a bar chart on one page without scripts."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import shap

    figures = []
    for name, draw in (("Each case", shap.plots.beeswarm), ("Mean absolute attribution", shap.plots.bar)):
        draw(shap_explanation, show=False)
        figures.append((name, _png(plt)))
    return Explanation("shap_report", page(title, figures), evidence(background).sha256, "shap", version("shap"))


def plotly_report(figures: Sequence[tuple[str, plotly.graph_objects.Figure]], *, kind: str, background: Source, tool: str,
                  tool_version: str, title: str) -> Explanation:
    """Plotly figures as a page that needs no scripts: an interactive page could not be shown as it was sealed.

    Needs ``kaleido`` (``pip install promotion-ledger[plotly]``), which draws them.
    """
    try:
        drawn = [(name, figure.to_image(format="png", scale=2)) for name, figure in figures]
    except (ImportError, ValueError, RuntimeError) as error:
        raise RuntimeError(f"plotly cannot draw the static rendition ({error}); pip install 'promotion-ledger[plotly]'") from error
    return Explanation(kind, page(title, drawn), evidence(background).sha256, tool, tool_version)


def page(title: str, pictures: Sequence[tuple[str, bytes]]) -> Evidence:
    """One page of PNG pictures, each with its name, and nothing that is loaded from elsewhere."""
    figures = "".join(
        f'<figure><figcaption>{html.escape(name)}</figcaption>'
        f'<img alt="{html.escape(name)}" src="data:image/png;base64,{base64.b64encode(png).decode()}"></figure>'
        for name, png in pictures
    )
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        "<style>body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
        "img{max-width:100%}figcaption{font-weight:600}</style></head>"
        f"<body><main><h1>{html.escape(title)}</h1>{figures}</main></body></html>\n"
    )
    return Evidence.of_bytes(text.encode(), "text/html")


def _png(plt: Any) -> bytes:
    out = io.BytesIO()
    # Without metadata: the same figure has the same bytes.
    plt.savefig(out, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    plt.close("all")
    return out.getvalue()
