"""What a check can come to: all well, a warning, or a problem, each of the latter two with its remedy."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from redis import RedisError
from sqlalchemy.exc import OperationalError

from cli.errors import CommandError
from core.errors import ConfigurationError, PhantomError


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    SKIPPED = "skipped"  # what it stands on is missing, which has its own finding


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome. `remedy` says what to do, and is empty only where nothing has to be done."""

    name: str
    level: Level
    detail: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


class Trouble(Exception):
    """Raised by a check that found something; a check returns a string when all is well."""

    level = Level.PROBLEM

    def __init__(self, detail: str, remedy: str) -> None:
        super().__init__(detail)
        self.detail, self.remedy = detail, remedy


class Warn(Trouble):
    """Nothing is broken yet."""

    level = Level.WARNING


@dataclass(frozen=True, slots=True)
class Check:
    """A named look at one thing. `needs` names checks that must not have found a problem."""

    name: str
    look: Callable[[], str]
    needs: tuple[str, ...] = ()


def examine(checks: list[Check]) -> list[Finding]:
    """The findings of all checks, in order; what needs something that is broken is skipped, not blamed."""
    findings: list[Finding] = []
    sound: set[str] = set()
    for check in checks:
        missing = [name for name in check.needs if name not in sound]
        found = Finding(check.name, Level.SKIPPED, f"needs: {', '.join(missing)}") if missing else _run(check)
        if found.level in (Level.OK, Level.WARNING):
            sound.add(check.name)
        findings.append(found)
    return findings


def _run(check: Check) -> Finding:
    try:
        return Finding(check.name, Level.OK, check.look())
    except Trouble as trouble:
        return Finding(check.name, trouble.level, trouble.detail, trouble.remedy)
    except (CommandError, ConfigurationError) as error:
        return Finding(check.name, Level.PROBLEM, str(error), "set what it names; .env.example explains each setting")
    except (OperationalError, RedisError) as error:
        return Finding(
            check.name, Level.PROBLEM, f"it went away while it was looked at ({type(error).__name__})", "look again"
        )
    except PhantomError as error:
        return Finding(check.name, Level.PROBLEM, error.detail, "see docs/operations.md")
