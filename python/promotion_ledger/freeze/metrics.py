"""Metrics overall and for each segment, with calibration, from labels and scores; and the band check over them."""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..evidence import Evidence
from ..promotion import BandCheck
from .dataset import canonical

if TYPE_CHECKING:
    import numpy

#: Fewer of either class: rank and calibration measures are null, not noise.
MIN_OF_EACH = 10
_BINS = 10

#: Measures of one segment; ``None`` where there are too few cases to say.
Measures = dict[str, float | None]


def measure(labels: Any, scores: Any, threshold: float) -> Measures:
    """Measures of a classifier whose score is a probability of label 1; scores from ``threshold`` on count as positive."""
    import numpy as np
    from sklearn.metrics import brier_score_loss, roc_auc_score

    y, p = np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    if y.shape != p.shape or y.ndim != 1 or len(y) == 0:
        raise ValueError(f"labels {y.shape} and scores {p.shape} must be two equally long columns of at least one row")
    if not np.isin(y, (0, 1)).all() or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("labels must be 0 or 1, and scores probabilities between 0 and 1")
    positive = int(y.sum())
    measures: Measures = {
        "rows": float(len(y)), "positive": float(positive), "positive_rate": _round(float(y.mean())),
        "flagged_rate": _round(float((p >= threshold).mean())), "brier": _round(float(brier_score_loss(y, p))),
    }
    enough = MIN_OF_EACH <= positive <= len(y) - MIN_OF_EACH
    auc = _round(float(roc_auc_score(y, p))) if enough else None
    intercept, slope = _recalibration(y, p) if enough else (None, None)
    return {**measures, "auc": auc, "gini": _round(2 * auc - 1) if auc is not None else None,
            "ece": _round(_calibration_error(y, p)) if enough else None,
            "calibration_intercept": intercept, "calibration_slope": slope}


def by_segment(labels: Any, scores: Any, threshold: float, segments: Mapping[str, Sequence[object]] | None = None,
               ) -> dict[str, Measures]:
    """Measures ``overall`` and for every level of every segment, named ``segment:level``."""
    import numpy as np

    y, p = np.asarray(labels), np.asarray(scores)
    found = {"overall": measure(y, p, threshold)}
    for name, column in (segments or {}).items():
        levels = np.asarray(column, dtype=object)
        if levels.shape != y.shape:
            raise ValueError(f"segment {name} has {len(levels)} rows, the labels have {len(y)}")
        for level in sorted({str(one) for one in levels}):
            chosen = np.array([str(one) == level for one in levels])
            found[f"{name}:{level}"] = measure(y[chosen], p[chosen], threshold)
    return found


def document(candidate: Mapping[str, Measures], comparators: Mapping[str, Mapping[str, Measures]]) -> Evidence:
    """The metrics file of field two, as canonical JSON."""
    return Evidence.of_bytes(canonical({"candidate": candidate, "comparators": comparators}), "application/json")


def band_checks(candidate: Mapping[str, Measures], champion: Mapping[str, Measures],
                tolerances: Mapping[tuple[str, str], float]) -> list[BandCheck]:
    """The band check for ``{(metric, segment): tolerance}``; a measure that is missing on either side is an error."""
    checks = []
    for (metric, segment), tolerance in tolerances.items():
        ours, theirs = (side.get(segment, {}).get(metric) for side in (candidate, champion))
        if ours is None or theirs is None:
            raise ValueError(f"{metric} of {segment} is not known on both sides; a missing part is never 'unchanged'")
        checks.append(BandCheck(metric, segment, ours, theirs, tolerance))
    return checks


def _round(value: float) -> float:
    return round(value, 6)


def bins(labels: Any, scores: Any) -> list[tuple[int, float, float]]:
    """Calibration: (rows, mean score, observed rate) of ten bins with equally many rows, by rising score."""
    import numpy as np

    y, p = np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    order = np.argsort(p, kind="stable")
    parts: list[numpy.ndarray] = [part for part in np.array_split(order, _BINS) if len(part)]
    return [(len(part), float(p[part].mean()), float(y[part].mean())) for part in parts]


def _calibration_error(y: Any, p: Any) -> float:
    return sum(rows * abs(mean - rate) for rows, mean, rate in bins(y, p)) / len(y)


def _recalibration(y: Any, p: Any) -> tuple[float | None, float | None]:
    """Intercept (slope held at 1) and slope of logit(y) on logit(p): 0 and 1 for a calibrated model."""
    import numpy as np

    x = np.log(np.clip(p, 1e-9, 1 - 1e-9) / (1 - np.clip(p, 1e-9, 1 - 1e-9)))
    fitted = []
    for with_slope in (False, True):
        a, b = 0.0, 1.0
        for _ in range(50):
            q = 1 / (1 + np.exp(-np.clip(a + b * x, -35, 35)))
            w, r = q * (1 - q), y - q
            if with_slope:
                h = np.array([[w.sum(), (w * x).sum()], [(w * x).sum(), (w * x * x).sum()]])
                if abs(np.linalg.det(h)) < 1e-12:
                    return None, None
                step = np.linalg.solve(h, np.array([r.sum(), (r * x).sum()]))
            else:
                step = np.array([r.sum() / max(float(w.sum()), 1e-12), 0.0])
            a, b = a + float(step[0]), b + float(step[1])
            if max(abs(float(step[0])), abs(float(step[1]))) < 1e-10:
                break
        if not (math.isfinite(a) and math.isfinite(b)):
            return None, None
        fitted.append((a, b))
    return _round(fitted[0][0]), _round(fitted[1][1])
