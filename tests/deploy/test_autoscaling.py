"""How Kubernetes scales workers: KEDA's ScaledObject, by what KEDA takes and by what an operator would lose."""

import re
from typing import Any

import jsonschema
import pytest
from lightkube.codecs import from_dict

from tests.deploy import manifests
from tests.deploy.manifests import KUBERNETES, ROOT

# What of https://keda.sh/docs/latest/reference/scaledobject-spec/ we use; anything else is a typing error.
_TEXT, _NUMBER = {"type": "string", "minLength": 1}, {"type": "integer", "minimum": 0}
SCALED_OBJECT: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["scaleTargetRef", "triggers"],
    # KEDA < 2.18 refuses it with any other type, https://github.com/kedacore/keda/pull/6655
    "if": {"required": ["fallback"]},
    "then": {"properties": {"triggers": {"items": {"properties": {"metricType": {"const": "AverageValue"}}}}}},
    "properties": {
        "scaleTargetRef": {
            "type": "object", "additionalProperties": False, "required": ["name"], "properties": {"name": _TEXT},
        },
        "pollingInterval": _NUMBER,
        "minReplicaCount": _NUMBER,
        "maxReplicaCount": _NUMBER,
        "fallback": {
            "type": "object", "additionalProperties": False, "required": ["failureThreshold", "replicas"],
            "properties": {"failureThreshold": _NUMBER, "replicas": _NUMBER},
        },
        "advanced": {
            "type": "object", "additionalProperties": False,
            "properties": {
                "horizontalPodAutoscalerConfig": {
                    "type": "object", "additionalProperties": False, "properties": {"behavior": {"type": "object"}},
                },
            },
        },
        "triggers": {
            "type": "array", "minItems": 1,
            "items": {
                "type": "object", "additionalProperties": False, "required": ["type", "metadata"],
                "properties": {
                    "type": {"const": "prometheus"},
                    "metricType": {"enum": ["Value", "AverageValue"]},
                    "metadata": {
                        "type": "object", "additionalProperties": False,
                        "required": ["serverAddress", "query", "threshold"],
                        "properties": {
                            "serverAddress": _TEXT, "query": _TEXT, "threshold": _TEXT,
                            "ignoreNullValues": {"enum": ["true", "false"]},
                        },
                    },
                },
            },
        },
    },
}  # fmt: skip


@pytest.fixture
def scaled() -> dict[str, Any]:
    [found] = manifests.of_kind("ScaledObject")
    return found


class TestFormat:
    def test_keda_knows_every_field(self, scaled: dict[str, Any]) -> None:
        jsonschema.validate(scaled["spec"], SCALED_OBJECT)

    def test_kubernetes_knows_how_fast_it_scales(self, scaled: dict[str, Any]) -> None:
        told = scaled["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        item = {
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": scaled["metadata"],
            "spec": {"maxReplicas": 1, "scaleTargetRef": {"kind": "Deployment", "name": "x"}, "behavior": told},
        }  # fmt: skip
        assert from_dict(item).to_dict() == item

    def test_a_fallback_that_keda_may_refuse_would_be_found(self, scaled: dict[str, Any]) -> None:
        fallback = {"failureThreshold": 3, "replicas": 4}
        with pytest.raises(jsonschema.ValidationError, match="AverageValue"):
            jsonschema.validate({**scaled["spec"], "fallback": fallback}, SCALED_OBJECT)

    def test_the_least_version_is_told_where_it_is_looked_for(self) -> None:
        places = (KUBERNETES / "worker.yaml", KUBERNETES / "kustomization.yaml", ROOT / "docs" / "operations.md")
        assert [re.findall(r"KEDA (\d+\.\d+) or newer", place.read_text()) for place in places] == [["2.10"]] * 3


class TestMetrics:
    def test_are_some_there_are(self, scaled: dict[str, Any]) -> None:
        source = (ROOT / "services" / "operations" / "service.py").read_text()
        for trigger in scaled["spec"]["triggers"]:
            name, lane = re.fullmatch(r'max\((\w+)\{lane="(\w+)"\}\)', trigger["metadata"]["query"]).groups()  # type: ignore[union-attr]
            assert f'"{name}"' in source
            assert lane in ("quick", "long")

    def test_that_are_gone_are_not_taken_for_an_empty_queue(self, scaled: dict[str, Any]) -> None:
        """Zero would end workers while PostgreSQL is away, whose tasks wait all the same."""
        assert {each["metadata"].get("ignoreNullValues") for each in scaled["spec"]["triggers"]} == {"false"}
