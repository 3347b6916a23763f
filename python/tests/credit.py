"""The credit example's promotions, made with the client."""
from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone

from conftest import EXAMPLE, Node

from promotion_ledger import (
    Approval, ApprovalRequest, BandCheck, Comparator, Comparison, Evidence, Explanation, Form, ModelVersion, Person,
    Promotion, Question, Slot,
)
from promotion_ledger.freeze import dataset

IDP = "http://127.0.0.1:7421/development"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def first(request: str, model: str) -> Promotion:
    """The first promotion of a model, of 7 November."""
    day = EXAMPLE / "2026-11-07"
    form = json.loads((day / "approval" / "form.json").read_text())
    answers = json.loads(next((day / "approval").glob("answers*.json")).read_text())
    maria = Person(IDP, "u-2001", "Maria Keller")
    jonas = Person(IDP, "u-1001", "Jonas Weber")
    return Promotion(
        slot=Slot(model, "production", region="eu-central"),
        model_version=ModelVersion.of_artifact(Evidence.of_file(day / "model" / "model.json"),
                                               registry_uri="mlflow://registry.example.bank", name=model, version="12"),
        challenger_comparison=Comparison(
            report=Evidence.of_file(day / "comparison" / "report.html"),
            metrics=Evidence.of_file(day / "comparison" / "metrics.json"),
        ),
        approval_request=ApprovalRequest(
            system="jira", id=request, requested_by=jonas, triggered_by=jonas, asked_people=[maria],
            asked_at=at("2026-11-07T08:00:00"), justification="The first model of this kind.", residual_risk="None known.",
            form=Form(form["id"], "3", Evidence.of_file(day / "approval" / "form.json"),
                      [Question(one["id"], one["text"], one["required"]) for one in form["questions"]]),
        ),
        approvals=[Approval(approver=maria, decided_at=at("2026-11-07T10:12:31"), auth_time=at("2026-11-07T10:10:00"),
                            assertion="", groups=["model-risk-approvers"], matched_groups=["model-risk-approvers"],
                            acr="", amr=[], answers=answers)],
        explanations=[Explanation("shap_report", Evidence.of_file(day / "explanation" / "shap_report.html"),
                                  Evidence.of_file(day / "explanation" / "background.csv").sha256, "shap", "0.51.0")],
        dataset=dataset.file(day / "dataset" / "evaluation.csv", snapshot_id="german-credit-eval@2026-11-07",
                             definition=day / "dataset" / "definition.yaml", kind="csv_export"),
        profile=Evidence.of_file(day / "profile.json"),
    )


def approved(node: Node, promotion: Promotion) -> Promotion:
    """The same with a login of the approver just now, which commits to this promotion."""
    one = promotion.approvals[0]
    token = node.login(one.approver.subject, one.approver.name, promotion.nonce(), list(one.groups))
    login = Approval.of_login(token, matched_groups=one.matched_groups, answers=one.answers)
    return replace(promotion, approvals=[login])


def careless(promotion: Promotion) -> Promotion:
    """The same with three things wrong."""
    model = replace(promotion.model_version, version="latest")
    comparison = replace(promotion.challenger_comparison, computed_on=bytes(32))
    return replace(promotion, model_version=model, challenger_comparison=comparison, explanations=[])


def retrained(promotion: Promotion, request: str) -> Promotion:
    """The next version, against the champion that ``promotion`` made current."""
    day = EXAMPLE / "2026-11-14"
    champion = Comparator("champion", promotion.model_version.name, promotion.model_version.version,
                          promotion.model_version.artifact_sha256)
    model = ModelVersion.of_artifact(Evidence.of_file(day / "model" / "model.json"),
                                     registry_uri=promotion.model_version.registry_uri,
                                     name=promotion.model_version.name, version="13")
    comparison = replace(promotion.challenger_comparison, comparators=[champion],
                         band_checks=[BandCheck("auc", "overall", 0.772359, 0.774933, 0.02)])
    return replace(promotion, model_version=model, challenger_comparison=comparison,
                   approval_request=replace(promotion.approval_request, id=request),
                   profile=Evidence.of_file(day / "profile.json"))
