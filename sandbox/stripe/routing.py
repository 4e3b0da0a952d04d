"""Which function answers which path. Resource modules register theirs with `@route`."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sandbox.stripe import forms
from sandbox.stripe.errors import invalid, no_such
from sandbox.stripe.rendering import listing
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.access import Caller
    from sandbox.stripe.world import World


@dataclass
class Call:
    """What a handler gets: where it acts, what was sent, and the ids in its path."""

    world: "World"
    space: Space
    params: Json
    path: dict[str, str]
    caller: "Caller | None" = None
    shape: str = "basil"
    key: str = ""  # what was presented, for routes that authenticate by themselves

    def object(self, kind: str, name: str = "id") -> Json:
        """The object the path names; 404 in Stripe's words when this account has none such."""
        identifier = self.path[name]
        found = self.space.get(kind, identifier)
        if found is None:
            raise self._missing(kind, identifier, "id")
        return found

    def parameter(self, kind: str, name: str, identifier: str | None = None) -> Json:
        """The object that parameter `name` refers to."""
        wanted = identifier or forms.required(self.params, name)
        found = self.space.get(kind, wanted)
        if found is None or found.get("deleted"):
            raise self._missing(kind, wanted, name)
        return found

    def optional(self, kind: str, name: str) -> Json | None:
        """Like `parameter`, or None when it was not sent."""
        return self.parameter(kind, name) if self.params.get(name) else None

    def _missing(self, kind: str, identifier: str, param: str) -> Exception:
        other = self.world.space(self.space.account, live=not self.space.livemode)
        mode = ("live" if other.livemode else "test") if other.get(kind, identifier) else None
        return no_such(kind, identifier, param=param, other_mode=mode)

    def page(
        self,
        kind: str,
        url: str,
        filters: dict[str, Any] | None = None,
        accept: Callable[[Json], bool] | None = None,
    ) -> Json:
        """The list Stripe answers: filters, `created` range, cursor, limit."""
        limit = forms.integer(self.params, "limit", 10) or 0
        if not 1 <= limit <= 100:
            raise invalid("Invalid integer: limit must be between 1 and 100", param="limit")
        after, before = self.params.get("starting_after"), self.params.get("ending_before")
        if after and before:
            raise invalid("You can only use one of starting_after and ending_before.", param="starting_after")
        for name, cursor in (("starting_after", after), ("ending_before", before)):
            if cursor and self.space.get(kind, cursor) is None:
                raise self._missing(kind, cursor, name)
        chosen = {name: value for name, value in (filters or {}).items() if value is not None}
        data, more = self.space.table(kind).page(
            chosen, limit=limit, after=after, before=before, created=forms.bounds(self.params, "created"), accept=accept
        )
        return listing(data, url, has_more=more)


Handler = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    """One path pattern such as `/v1/invoices/{id}/pay`."""

    method: str
    pattern: str
    handler: Handler
    public: bool = False  # answers without a secret key in the Authorization header
    parts: tuple[str, ...] = field(default=())

    @property
    def reads(self) -> bool:
        return self.method == "GET"


_routes: dict[tuple[str, int], list[Route]] = {}


def route(method: str, pattern: str, *, public: bool = False) -> Callable[[Handler], Handler]:
    """Register a handler. Literal parts win over `{names}`."""

    def register(handler: Handler) -> Handler:
        parts = tuple(pattern.strip("/").split("/"))
        same = _routes.setdefault((method, len(parts)), [])
        same.append(Route(method, pattern, handler, public, parts))
        same.sort(key=lambda r: sum(part.startswith("{") for part in r.parts))
        return handler

    return register


def find_route(method: str, path: str) -> tuple[Route | None, dict[str, str]]:
    """The route for a path and the ids in it."""
    parts = path.strip("/").split("/")
    for candidate in _routes.get((method, len(parts)), []):
        arguments: dict[str, str] = {}
        for wanted, given in zip(candidate.parts, parts, strict=True):
            if wanted.startswith("{"):
                arguments[wanted[1:-1]] = given
            elif wanted != given:
                break
        else:
            return candidate, arguments
    return None, {}


def patterns() -> list[str]:
    """Every registered route, for tests and the health page."""
    return sorted(f"{r.method} {r.pattern}" for routes in _routes.values() for r in routes)
