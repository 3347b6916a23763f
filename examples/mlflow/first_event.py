# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # From an MLflow model to the first promotion event
#
# A model is trained, logged and registered as you do it today. Then the six fields are frozen from what is there, and one
# event is recorded: signed, immutable, with a receipt that verifies without the ledger. Start an MLflow server and a node as
# README.md beside this file says, then run the cells in order (`jupytext --to ipynb first_event.py`, or plain Python).

# %%
import json
import os
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import mlflow
import numpy as np
import pandas
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from promotion_ledger import Approval, ApprovalRequest, Client, Comparison, Evidence, Form, Person, Promotion, Question, Slot
from promotion_ledger.freeze import dataset, explanation, metrics, mlflow_model, report

LEDGER = os.environ.get("LEDGER", "127.0.0.1:7420")
REGISTRY = "mlflow://localhost"  # how the event names your registry
MODEL = os.environ.get("MODEL", "loan-default")
mlflow.set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000"))

# %% [markdown]
# ## What you do today: train, log, register

# %%
chosen = np.random.default_rng(7)
rows = pandas.DataFrame({
    "income": chosen.normal(3_000, 800, 2_000).round(),
    "amount": chosen.normal(9_000, 3_000, 2_000).round(),
    "months": chosen.integers(6, 72, 2_000).astype(float),
})
risk = (rows.amount / rows.income + rows.months / 24 - 5) / 2
rows["default"] = (chosen.uniform(size=len(rows)) < 1 / (1 + np.exp(-risk))).astype(int)
features = ["income", "amount", "months"]
training, evaluation = rows[:1_400], rows[1_400:].reset_index(drop=True)
model = LogisticRegression(max_iter=1_000).fit(training[features], training.default)

mlflow.set_experiment(MODEL)
with mlflow.start_run():
    mlflow.sklearn.log_model(model, name="model", registered_model_name=MODEL, pip_requirements=["scikit-learn"],
                             signature=infer_signature(training[features], model.predict(training[features])),
                             serialization_format="pickle")
registry = mlflow.MlflowClient()
version = max((int(one.version) for one in registry.search_model_versions(f"name='{MODEL}'")), default=0)
print(f"{MODEL} version {version} is registered; nobody has decided anything yet")

# %% [markdown]
# What would an auditor find now? `promotion-ledger walk --model loan-default --mlflow http://127.0.0.1:5000` says it: all six
# fields would have to be reconstructed.
#
# ## Freeze the six fields

# %%
# One: the model's bytes, by one digest over all files of the version.
frozen_model = mlflow_model.model_version(registry, MODEL, str(version), registry_uri=REGISTRY)

# Six: the very rows that it was evaluated on, and how they were chosen.
definition = Evidence.of_bytes(b"select income, amount, months, default from loans where rownum > 1400", "text/plain")
snapshot = dataset.frame(evaluation, snapshot_id="loans@2026-11", definition=definition)

# Two: the comparison as people see it. A first model has no incumbent; the tier rules see that.
scores = model.predict_proba(evaluation[features])[:, 1]
segments = {"term": ["long" if months > 36 else "short" for months in evaluation.months]}
measured = metrics.by_segment(evaluation.default, scores, 0.5, segments)
page = report.comparison("First model", MODEL, "none", measured, {}, {MODEL: metrics.bins(evaluation.default, scores)})
comparison = Comparison(report=page, metrics=metrics.document(measured, {}))

# Five: what drives the score, on the same rows.
centred = evaluation[features] - training[features].mean()
background = Evidence.of_bytes(training[features].to_csv(index=False).encode(), "text/csv")
drivers = explanation.attribution((centred * model.coef_[0]).to_numpy(), features, background=background,
                                  tool="scikit-learn", tool_version="1")

# %% [markdown]
# The profile says what the model is; the ledger derives from it what changed since the last promotion, and which tier that needs.

# %%
profile = {
    "model": {"name": MODEL, "version": str(version)}, "inventory_id": "MRI-0001", "risk_tier": "tier_2",
    "algorithm": "logistic_regression", "hyperparameters": {"max_iter": 1000},
    "features": [{"name": name, "type": "number"} for name in features],
    "feature_transformation_digest": "sha256:" + Evidence.of_bytes(b"none", "text/plain").sha256.hex(),
    "decision_thresholds": {"decline_at_pd": 0.5}, "intended_uses": ["portfolio_monitoring"],
    "population": {"descriptor": "applicants for instalment loans", "drift": []},
    "segments": {"term": ["long", "short"]}, "incumbent": None, "metrics": measured,
    "training_window": {"start": "2026-01-01", "end": "2026-10-31", "rows": len(training)},
    "evaluation": {"snapshot_digest": "sha256:" + snapshot.digest.hex(), "definition_digest": "sha256:" + definition.sha256.hex()},
}

# %% [markdown]
# Three and four: who asked, and who approved. In production both come from your workflow tool and your identity provider, and a
# review (README, "Reviews") lets people log in, see what was sealed and sign it. On this machine the node's development issuer
# stands for the identity provider: it signs for anybody, and every event says so.

# %%
def issued(*who: str) -> dict:
    command = [os.environ.get("LEDGER_COMMAND", "promotion-ledger"), "token", "--url", f"http://{LEDGER}", "--format", "json", "--as", *who]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


access = issued("pipeline", "--role", "emitter", "--role", "auditor")
now = datetime.now(timezone.utc)
owner, approver = Person(access["issuer"], "u-1001", "Jonas Weber"), Person(access["issuer"], "u-2001", "Maria Keller")
question = Question("segments", "Is each segment acceptable?", required=True)
form = Form("model-approval", "1", Evidence.of_bytes(json.dumps({"segments": question.text}).encode(), "application/json"), [question])
request = ApprovalRequest(
    system="notebook", id=f"{MODEL}-{version}", requested_by=owner, triggered_by=owner, asked_people=[approver],
    asked_at=now - timedelta(hours=1), form=form, justification="The first model of this kind.", residual_risk="None known.",
)
promotion = Promotion(
    slot=Slot(MODEL, "production"), model_version=frozen_model, challenger_comparison=comparison, approval_request=request,
    approvals=[], explanations=[drivers], dataset=snapshot, profile=Evidence.of_bytes(json.dumps(profile).encode(), "application/json"),
)

# The approver's login commits to this promotion and to no other.
login = issued("u-2001", "--name", "Maria Keller", "--group", "model-risk-approvers", "--login", "--nonce", promotion.nonce())
approval = Approval.of_login(login["token"], matched_groups=["model-risk-approvers"], answers={"segments": "yes, both terms"})

# %% [markdown]
# ## Record it

# %%
with Client(LEDGER, token=access["token"]) as ledger:
    receipt = ledger.promote(replace(promotion, approvals=[approval]))  # safe to repeat: the same promotion is one event
receipt.save(f"{MODEL}-{version}.tlog-proof")
print(f"entry {receipt.seq}; with the log's key, which `promotion-ledger status` prints, the receipt verifies offline:")
print(f"promotion-ledger verify --receipt {MODEL}-{version}.tlog-proof --key VKEY")

# %% [markdown]
# `promotion-ledger show` prints the event, `promotion-ledger gate check --version mlflow://localhost loan-default 1 --environment
# production` lets it into production, and with `[[registries]]` configured the alias moves by itself.
