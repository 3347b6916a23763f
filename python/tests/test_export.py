"""Every line of an OCSF export against the schema of the framework itself."""
from __future__ import annotations

import json

import credit
import pytest
from conftest import Node

from promotion_ledger import Client


def test_every_line_of_an_export_is_an_event_of_its_class(node: Node) -> None:
    ocsf = pytest.importorskip("ocsf_json_schema")
    jsonschema = pytest.importorskip("jsonschema")
    with Client(node.address, log_key=node.log_key, token=node.token) as ledger:
        ledger.promote(credit.approved(node, credit.first("PY-OCSF", "ocsf")))
    exported = node.run("export", "--format", "ocsf", "--url", f"http://{node.address}")
    assert exported.returncode == 0, exported.stderr
    schema = ocsf.OcsfJsonSchemaEmbedded(ocsf.get_ocsf_schema(version="1.3.0"))
    classes = {3004: schema.get_class_schema("entity_management"), 2004: schema.get_class_schema("detection_finding")}
    events = [json.loads(line) for line in exported.stdout.splitlines()]
    assert {event["class_uid"] for event in events} >= {3004}
    for event in events:
        jsonschema.Draft202012Validator(classes[event["class_uid"]]).validate(event)
    assert "ocsf" in {event["entity"]["name"] for event in events if "entity" in event}
