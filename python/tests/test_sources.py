"""The helpers against the real tools: an MLflow server, SHAP, Plotly, Delta and Iceberg tables."""
from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import credit
import pytest
from conftest import Node, missing

from promotion_ledger import Client, Comparison, Evidence
from promotion_ledger.freeze import dataset, explanation, metrics, mlflow_model, report

BACKGROUND = Evidence.of_bytes(b"rows", "text/csv")


@pytest.fixture(scope="module")
def registry():
    """A model that a run logged and registered on a real MLflow server."""
    url = os.environ.get("MLFLOW_URL", "")
    if not url:
        missing("MLFLOW_URL is not set")
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"
    import mlflow
    import numpy as np
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    mlflow.set_tracking_uri(url)
    mlflow.set_experiment(f"python-{os.getpid()}")
    chosen = np.random.default_rng(11)
    inputs = chosen.normal(size=(400, 3))
    labels = (chosen.uniform(size=400) < 1 / (1 + np.exp(-inputs[:, 0]))).astype(int)
    model = LogisticRegression().fit(inputs, labels)
    name = f"credit-pd-{os.getpid()}"
    with mlflow.start_run() as run:
        logged = mlflow.sklearn.log_model(model, name="model", registered_model_name=name,
                                          signature=infer_signature(inputs, model.predict_proba(inputs)),
                                          pip_requirements=["scikit-learn"], serialization_format="pickle")
    return mlflow.MlflowClient(url), name, run, logged, model, inputs, labels


def test_a_model_has_one_digest_by_run_by_registry_and_as_a_copy(registry) -> None:
    import mlflow

    client, name, _, logged, *_ = registry
    frozen = mlflow_model.model_version(client, name, "1", registry_uri="mlflow://registry.example.bank")
    by_run = mlflow.artifacts.download_artifacts(artifact_uri=logged.model_uri, dst_path=tempfile.mkdtemp())
    assert mlflow_model.directory(by_run).sha256 == frozen.artifact_sha256
    copied = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
    again = mlflow_model.model_version(client, f"{name}-copy", copied.version, registry_uri="mlflow://other")
    assert again.artifact_sha256 == frozen.artifact_sha256
    with pytest.raises(ValueError, match="alias"):
        mlflow_model.model_version(client, name, "champion", registry_uri="mlflow://registry.example.bank")


def test_a_registered_model_is_promoted_from_a_pipeline(registry, node: Node) -> None:
    client, name, _, _, model, inputs, labels = registry
    scores = model.predict_proba(inputs)[:, 1]
    found = metrics.by_segment(labels, scores, 0.5)
    promotion = replace(
        credit.first("PY-20", name),
        model_version=mlflow_model.model_version(client, name, "1", registry_uri="mlflow://registry.example.bank"),
        challenger_comparison=Comparison(
            report=report.comparison("First model", name, "none", found, {}, {name: metrics.bins(labels, scores)}),
            metrics=metrics.document(found, {}),
        ),
        explanations=[explanation.attribution(inputs * model.coef_, ["a", "b", "c"], background=BACKGROUND,
                                              tool="scikit-learn", tool_version="1")],
    )
    with Client(node.address, log_key=node.log_key, token=node.token) as ledger:
        assert ledger.promote(credit.approved(node, promotion)).seq > 0


def test_a_shap_report_shows_without_scripts() -> None:
    shap = pytest.importorskip("shap")
    import numpy as np

    values = np.random.default_rng(3).normal(size=(50, 3))
    explained = shap.Explanation(values=values, base_values=np.zeros(50), data=values, feature_names=["a", "b", "c"])
    made = explanation.shap_report(explained, background=BACKGROUND)
    text = made.content.read().decode()
    assert made.kind == "shap_report" and text.count("data:image/png;base64,") == 2 and "<script" not in text
    ranked = explanation.attribution(values * [1, 10, 100], ["a", "b", "c"], background=BACKGROUND).content.read().decode()
    assert [line.split(",")[0] for line in ranked.splitlines()] == ["feature", "c", "b", "a"]


def test_a_plotly_figure_gets_a_static_rendition() -> None:
    graphs = pytest.importorskip("plotly.graph_objects")
    figure = graphs.Figure(graphs.Bar(x=["a", "b"], y=[1, 2]))
    made = explanation.plotly_report([("Drivers", figure)], kind="importance", background=BACKGROUND, tool="plotly",
                                     tool_version="1", title="Drivers")
    text = made.content.read().decode()
    assert "data:image/png;base64," in text and "<script" not in text


def test_a_version_of_a_delta_table_stays_what_it_was(tmp_path: Path) -> None:
    deltalake = pytest.importorskip("deltalake")
    pandas = pytest.importorskip("pandas")
    definition = Evidence.of_bytes(b"select", "text/plain")
    table = str(tmp_path / "loans")
    deltalake.write_deltalake(table, pandas.DataFrame({"id": [1, 2]}))
    first = dataset.delta(table, 0, definition=definition)
    deltalake.write_deltalake(table, pandas.DataFrame({"id": [3]}), mode="append")
    assert dataset.delta(table, 0, definition=definition).digest == first.digest
    assert dataset.delta(table, 1, definition=definition).digest != first.digest
    assert first.strength == "manifest" and first.snapshot_id.endswith("@0")


def test_a_snapshot_of_an_iceberg_table_stays_what_it_was(tmp_path: Path) -> None:
    catalogs = pytest.importorskip("pyiceberg.catalog.sql")
    arrow = pytest.importorskip("pyarrow")
    catalog = catalogs.SqlCatalog("c", uri=f"sqlite:///{tmp_path}/c.db", warehouse=f"file://{tmp_path}")
    catalog.create_namespace("lake")
    rows = arrow.table({"id": [1, 2]})
    table = catalog.create_table("lake.loans", schema=rows.schema)
    table.append(rows)
    definition = Evidence.of_bytes(b"select", "text/plain")
    first, snapshot = dataset.iceberg(table, definition=definition), table.current_snapshot().snapshot_id
    table.append(rows)
    assert dataset.iceberg(table, snapshot, definition=definition).digest == first.digest
    assert dataset.iceberg(table, definition=definition).digest != first.digest
