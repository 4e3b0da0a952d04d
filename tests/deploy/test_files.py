"""The files of `deploy/`: by their formats' own rules, and true to the program they deploy.

There is no container engine and no cluster here, so what only they could show is not shown; `test_image.py` and
`test_two_hosts.py` run what they would run.
"""

import itertools
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube.codecs import from_dict
from typer.main import get_command

from cli.__main__ import app
from core.config import Settings
from jobs import worker
from phantom_app.api.app import create_api
from phantom_app.dispatch import answers
from tests.deploy import manifests
from tests.deploy.manifests import DEPLOY, KUBERNETES, ROOT

SETTINGS = {name.upper() for name in Settings.model_fields}
# What PHANTOM does not read, and the one service that is told each of them.
OF_THE_SERVERS = {
    "postgres": {"POSTGRES_PASSWORD", "PHANTOM_OWNER_PASSWORD", "PHANTOM_APP_PASSWORD", "PHANTOM_SYSTEM_PASSWORD"},
    "redis": {"REDIS_PASSWORD"},
    "caddy": {"PUBLIC_URL", "WEB_UPSTREAMS"},
}
REQUIRED = {"PUBLIC_URL", "DATABASE_URL", "DATABASE_SYSTEM_URL", "REDIS_URL", "ENCRYPTION_KEY"}
OWNERS = "DATABASE_ADMIN_URL"


def seconds(service: dict[str, Any]) -> int:
    """How long Compose waits before it kills a service."""
    return int(service["stop_grace_period"].removesuffix("s"))


def run(*command: str | Path, env: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)  # noqa: S603


class TestFormats:
    def test_compose_is_what_compose_reads(self) -> None:
        schema = ("--builtin-schema", "vendor.compose-spec")
        done = run(sys.executable, "-m", "check_jsonschema", *schema, DEPLOY / "compose.yaml")
        assert done.returncode == 0, done.stdout

    def test_the_dockerfile_passes_hadolint(self) -> None:
        hadolint = Path(sys.executable).with_name("hadolint")
        if not hadolint.exists():
            pytest.skip("hadolint has no wheel for this machine")
        done = run(hadolint, "--no-color", manifests.DOCKERFILE)
        assert (done.returncode, done.stdout) == (0, "")

    @pytest.mark.parametrize(
        "item", [pytest.param(item, id=f"{file}-{item['kind']}") for file, item in manifests.of_kubernetes()]
    )
    def test_kubernetes_knows_every_field(self, item: dict[str, Any]) -> None:
        # wrong types raise; a field that the API does not have would be missing from what comes back
        assert from_dict(item).to_dict() == item

    def test_a_misspelt_field_would_be_found(self) -> None:
        item = manifests.of_kind("Deployment")[0]
        item["spec"]["template"]["spec"]["containers"][0]["imagePullPolice"] = "Always"
        assert from_dict(item).to_dict() != item

    @pytest.mark.parametrize("folder", [KUBERNETES, KUBERNETES / "migrate"])
    def test_the_kustomization_names_the_files_there_are(self, folder: Path) -> None:
        told = yaml.safe_load((folder / "kustomization.yaml").read_text())
        there = {path.name for path in folder.glob("*.yaml")} - {"kustomization.yaml", "secrets.example.yaml"}
        assert set(told["resources"]) == there
        assert [each["name"] for each in told["images"]] == ["phantom"]
        assert {container["image"] for _, container in manifests.containers()} == {"phantom"}

    def test_caddy_reads_its_file(self, tmp_path: Path) -> None:
        caddy = shutil.which("caddy")
        if caddy is None:
            pytest.skip("no caddy on the PATH (Debian: apt install caddy)")
        told = {"PUBLIC_URL": "https://phantom.example", "HOME": str(tmp_path)}
        command = [caddy, "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
        done = run(*command, env=told)
        assert done.returncode == 0, done.stderr

    def test_the_caddyfile_is_whole(self) -> None:
        text = (DEPLOY / "Caddyfile").read_text()
        assert text.count("{") == text.count("}")
        assert manifests.interpolated(text) == {"PUBLIC_URL", "WEB_UPSTREAMS"}


class TestSettings:
    def test_every_name_is_a_setting(self) -> None:
        told = manifests.names_told()
        assert {
            name: where for name, where in told.items() if name not in SETTINGS.union(*OF_THE_SERVERS.values())
        } == {}

    def test_what_must_be_told_is_told(self) -> None:
        given = manifests.names_given()
        in_cluster = {
            name for name, where in manifests.names_told().items() if where & {"phantom-settings", "phantom-secrets"}
        }
        for name in manifests.ours(manifests.compose()):
            assert given[name] >= REQUIRED | {"TRUSTED_PROXIES"}, name
        assert in_cluster >= REQUIRED | {"TRUSTED_PROXIES"}

    def test_the_owners_login_is_the_migrations_alone(self) -> None:
        assert manifests.names_told()[OWNERS] == {"owner.env", "phantom-owner"}
        given = {name: str(each.get("envFrom", "")) for name, each in manifests.containers()}
        assert [name for name, sources in given.items() if "phantom-owner" in sources] == ["phantom-migrate"]
        assert [name for name, names in manifests.names_given().items() if OWNERS in names] == ["migrate"]

    def test_every_service_is_told_what_it_reads_and_no_more(self) -> None:
        """Whoever breaks into the one process that faces the internet, or into Redis, finds nobody else's secret."""
        given = manifests.names_given()
        assert {name: given.pop(name) for name in OF_THE_SERVERS} == OF_THE_SERVERS
        assert set(given) == set(manifests.ours(manifests.compose()))
        assert {name: names - SETTINGS for name, names in given.items() if names - SETTINGS} == {}

    def test_no_file_holds_a_secret(self) -> None:
        filled_in = {*manifests.environment_files(), "secrets.yaml"}  # by an operator, and ignored by git
        assert filled_in <= {Path(line).name for line in (ROOT / ".gitignore").read_text().splitlines()}
        for text in (path.read_text() for path in DEPLOY.rglob("*") if path.is_file() and path.name not in filled_in):
            assert not re.search(r"sk_(live|test)_\w{8}|whsec_\w{8}|re_\w{16}|[0-9a-f]{64}", text)

    def test_the_proxy_is_trusted_and_nobody_else(self) -> None:
        composed = manifests.compose()
        address = composed["services"]["caddy"]["networks"]["default"]["ipv4_address"]
        assert {each["environment"]["TRUSTED_PROXIES"] for each in manifests.ours(composed).values()} == {address}


class TestTrueToTheProgram:
    @pytest.mark.parametrize(
        ("place", "words"), [pytest.param(*each, id=each[0]) for each in manifests.commands().items()]
    )
    def test_every_command_is_one(self, place: str, words: list[str]) -> None:
        command = get_command(app).commands[words[0]]  # type: ignore[attr-defined]
        flags = {flag for parameter in command.params for flag in parameter.opts}
        module = {"serve": "phantom_app.serve", "worker": "jobs.worker", "sentinel": "jobs.sentinel"}.get(words[0])
        if module:  # what a command does not know it hands on
            done = run(sys.executable, "-m", module, "--help")
            flags |= set(re.findall(r"--[a-z-]+", done.stdout))
        assert {word for word in words if word.startswith("--")} <= flags

    def test_every_host_serves_its_image_s_pages_to_everybody(self) -> None:
        for place, words in manifests.commands().items():
            if words[0] == "serve":
                assert {"--no-build", "0.0.0.0"} <= set(words), place  # noqa: S104

    def test_each_kind_of_process_is_started(self) -> None:
        kinds = {place: words[0] for place, words in manifests.commands().items()}
        for where in ("compose", "kubernetes"):
            assert sorted(kind for place, kind in kinds.items() if place.startswith(where)) == [
                "migrate", "sentinel", "serve", "worker",
            ]  # fmt: skip

    def test_every_path_asked_is_a_route(self) -> None:
        asked = {
            container[probe]["httpGet"]["path"]
            for _, container in manifests.containers()
            for probe in ("startupProbe", "livenessProbe", "readinessProbe")
            if probe in container
        }
        asked |= {
            pod["metadata"]["annotations"]["prometheus.io/path"]
            for pod in manifests.pods().values()
            if "annotations" in pod["metadata"]
        }
        asked |= set(re.findall(r"health_uri (\S+)", (DEPLOY / "Caddyfile").read_text()))
        asked |= set(re.findall(r"127\.0\.0\.1:3000(/\w+)'", manifests.DOCKERFILE.read_text()))
        assert asked == {"/health", "/health/ready", "/metrics"}
        routes = create_api().routes
        scope = {"type": "http", "method": "GET", "headers": [], "root_path": ""}
        assert [path for path in asked if not answers(routes, {**scope, "path": path})] == []
        assert not answers(routes, {**scope, "path": "/nothing"})

    def test_every_port_is_one_that_is_listened_on(self) -> None:
        port = str(Settings.model_fields["phantom_port"].default)
        [exposed] = [each.text for each in manifests.dockerfile()[-1] if each.name == "EXPOSE"]
        upstream = re.findall(r"\{\$WEB_UPSTREAMS:web:(\d+)\}", (DEPLOY / "Caddyfile").read_text())
        default = manifests.compose()["services"]["caddy"]["environment"]["WEB_UPSTREAMS"]
        assert {exposed, *upstream} == {port}
        assert default == f"${{WEB_UPSTREAMS:-web:{port}}}"
        for name, container in manifests.containers():
            words = container["args"]
            told = dict(itertools.pairwise(words))
            listens = port if words[0] == "serve" else told.get("--metrics-port", "")
            assert [str(each["containerPort"]) for each in container.get("ports", [])] == [listens] * bool(listens), (
                name
            )
            scraped = manifests.pods()[name]["metadata"].get("annotations", {}).get("prometheus.io/port", "")
            assert scraped == listens

    def test_selectors_find_their_pods(self) -> None:
        labels = {name: pod["metadata"]["labels"] for name, pod in manifests.pods().items()}
        for item in manifests.of_kind("Deployment", "PodDisruptionBudget", "Service", "NetworkPolicy"):
            spec = item["spec"]
            wanted = (spec.get("podSelector") or spec["selector"]).get("matchLabels") or spec["selector"]
            found = [name for name, pod in labels.items() if wanted.items() <= pod.items()]
            assert found, item["metadata"]
            assert item["metadata"]["name"] in (*found, "phantom", "phantom-metrics")

    def test_there_is_time_to_stop(self) -> None:
        grace = {name: pod["spec"].get("terminationGracePeriodSeconds") for name, pod in manifests.pods().items()}
        [settings] = manifests.of_kind("ConfigMap")
        composed = manifests.compose()["services"]
        stopping = int(re.findall(r"workers_kill_timeout=(\d+)", (ROOT / "phantom_app" / "serve.py").read_text())[0])
        assert grace["phantom-web"] > int(settings["data"]["DRAIN_SECONDS"]) + stopping
        assert seconds(composed["web"]) > composed["web"]["environment"]["DRAIN_SECONDS"] + stopping
        assert min(grace["phantom-worker"], seconds(composed["worker"])) > 2 * worker.GRACE_SECONDS

    def test_a_balancer_hears_of_a_stop_before_the_web_stops(self) -> None:
        probe = next(each["readinessProbe"] for _, each in manifests.containers() if "readinessProbe" in each)
        caddys = int(re.findall(r"health_interval (\d+)s", (DEPLOY / "Caddyfile").read_text())[0])
        [settings] = manifests.of_kind("ConfigMap")
        assert int(settings["data"]["DRAIN_SECONDS"]) > probe["periodSeconds"]
        assert manifests.compose()["services"]["web"]["environment"]["DRAIN_SECONDS"] > caddys


class TestHardening:
    def test_nothing_runs_as_root_or_writes_its_disk(self) -> None:
        user = next(each.text for each in manifests.dockerfile()[-1] if each.name == "USER")
        assert user == "10001:10001"
        for name, pod in manifests.pods().items():
            assert pod["spec"]["securityContext"]["runAsNonRoot"] is True, name
            assert f"{pod['spec']['securityContext']['runAsUser']}:" in user
            assert pod["spec"]["automountServiceAccountToken"] is False
        for name, container in manifests.containers():
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
            }, name  # fmt: skip
            assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]  # noqa: S108
        for name, service in manifests.ours(manifests.compose()).items():
            assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], "/tmp"), name  # noqa: S108

    def test_the_image_takes_no_secret_and_no_test(self) -> None:
        ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        let_in = {line[1:] for line in ignored if line.startswith("!")}
        copied = {
            word
            for stage in manifests.dockerfile()
            for each in stage
            if each.name == "COPY" and "--from" not in each.text
            for word in each.words[:-1]
        }
        assert ignored[1] == "*"
        assert copied == let_in
        assert not let_in & {"tests", "sandbox", "benchmarks", ".", ".env"}
