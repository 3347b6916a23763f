"""Freezes what a pipeline has into the six fields. Each helper needs only the packages of its own source system.

    freeze.mlflow_model.model_version(client, "credit-pd", "13", registry_uri="mlflow://registry.bank")   field one
    freeze.report.comparison(...), freeze.metrics.by_segment(...), freeze.metrics.band_checks(...)        field two
    freeze.explanation.shap_report(...), .attribution(...), .plotly_report(...)                           field five
    freeze.dataset.frame(...), .file(...), .query(...), .delta(...), .iceberg(...)                        field six
"""
from . import dataset, explanation, metrics, mlflow_model, report

__all__ = ["dataset", "explanation", "metrics", "mlflow_model", "report"]
