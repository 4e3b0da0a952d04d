"""The files of `deploy/` as data: what each of them starts, tells, asks and trusts."""

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
DOCKERFILE = DEPLOY / "Dockerfile"
_NAME = re.compile(r"[A-Z][A-Z0-9_]+")


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def resources() -> list[tuple[str, dict[str, Any]]]:
    """Every Kubernetes object with the name of its file; kustomizations are none."""
    files = sorted(path for path in KUBERNETES.rglob("*.yaml") if path.name != "kustomization.yaml")
    return [(path.name, item) for path in files for item in yaml.safe_load_all(path.read_text())]


def of_kubernetes() -> list[tuple[str, dict[str, Any]]]:
    """Those that are no extension's."""
    return [each for each in resources() if each[1]["kind"] != "ScaledObject"]


def of_kind(*kinds: str) -> list[dict[str, Any]]:
    return [item for _file, item in resources() if item["kind"] in kinds]


def pods() -> dict[str, dict[str, Any]]:
    """The pods' specifications, by the name of what makes them."""
    return {item["metadata"]["name"]: item["spec"]["template"] for item in of_kind("Deployment", "Job")}


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, pod in pods().items():
        for container in pod["spec"]["containers"]:
            yield name, container


@dataclass(frozen=True)
class Instruction:
    """One instruction of the Dockerfile, its continued lines joined."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)


def dockerfile() -> list[list[Instruction]]:
    """The Dockerfile's stages."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    stages: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, text = line.partition(" ")
        if name == "FROM":
            stages.append([])
        stages[-1].append(Instruction(name, text))
    return stages


def environment_files() -> dict[str, dict[str, str]]:
    """The examples of environment files, by name."""
    return {
        path.name.removesuffix(".example"): dict(
            line.split("=", 1) for line in path.read_text().splitlines() if line and not line.startswith("#")
        )
        for path in sorted(DEPLOY.glob("*.env.example"))
    }


def names_given() -> dict[str, set[str]]:
    """What each service of Compose is told: the names in its files, and its own."""
    files, found = environment_files(), {}
    for name, service in compose()["services"].items():
        of = service.get("env_file", [])
        found[name] = {
            *itertools.chain.from_iterable(files[file] for file in ([of] if isinstance(of, str) else of)),
            *service.get("environment", {}),
        }
    return found


def names_told() -> dict[str, set[str]]:
    """Every environment variable that some file sets for a process of ours, with where."""
    found: dict[str, set[str]] = {}

    def note(where: str, names: Any) -> None:
        for name in names:
            found.setdefault(name, set()).add(where)

    for file, values in environment_files().items():
        note(file, values)
    for name, service in compose()["services"].items():
        if "phantom" in str(service.get("image", "")):
            note(f"compose.yaml {name}", service.get("environment", {}))
    for item in of_kind("ConfigMap", "Secret"):
        note(item["metadata"]["name"], {**item.get("data", {}), **item.get("stringData", {})})
    for name, container in containers():
        note(name, [each["name"] for each in container.get("env", [])])
    return found


def interpolated(text: str) -> set[str]:
    """Names in `${NAME:-default}` and `{$NAME:default}`."""
    return set(re.findall(r"\$\{([A-Z_]+)", text)) | set(re.findall(r"\{\$([A-Z_]+)", text))


def commands() -> dict[str, list[str]]:
    """What each process of ours is started with, behind `phantom`."""
    started = {f"compose {name}": service["command"] for name, service in ours(compose()).items()}
    started |= {f"kubernetes {name}": container["args"] for name, container in containers()}
    [told] = [each for each in dockerfile()[-1] if each.name == "CMD"]
    started["image"] = yaml.safe_load(told.text)
    return {
        place: [re.sub(r"\$\{\w+:-(\w+)\}", r"\1", str(word)) for word in words] for place, words in started.items()
    }


def ours(composed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that run our image."""
    return {name: each for name, each in composed["services"].items() if "PHANTOM_IMAGE" in each["image"]}
