"""One page of a hunt, fetched from Stripe, and the place it leads to."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote

from core import clock
from core.errors import NotFoundError
from services.hunter import sweeps
from services.hunter.pace import Lister
from services.integrations.stripe.errors import StripePermissionError
from services.integrations.stripe.reading import identifier

Plain = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a hunt is: which of its sweeps, and after which object of it."""

    position: int = 0
    after: str | None = None

    @property
    def next_sweep(self) -> "Place":
        return Place(self.position + 1)


@dataclass(frozen=True, slots=True)
class Page:
    sweep: sweeps.Sweep
    items: list[Plain]
    then: Place  # where the hunt goes on once this page is stored
    requests: int  # sent so far, this page's included
    gone: tuple[str, ...] = ()  # what was asked for by id and Stripe does not know any more
    refused: bool = False  # the account's key may not list this
    read_at: datetime | None = None  # when Stripe was asked for it

    @property
    def touches(self) -> bool:
        """Whether ghosts may change by it."""
        return not self.sweep.keeps and bool(self.items or self.gone)


def fetch_list(client: Lister, sweep: sweeps.Sweep, here: Place, requests_before: int) -> Page:
    """The page of a list after `here`. Raises the client's typed errors.

    What a hunt can do without is passed over when the key may not list it; an account that let us go is not.
    """
    params = {**sweep.params, "limit": sweeps.PAGE}
    if here.after:
        params["starting_after"] = here.after
    asked_at = clock.now()
    try:
        answer = client.raw_get(sweep.path, params)
    except StripePermissionError as error:
        if error.revoked or not sweep.without:
            raise
        return Page(sweep, [], here.next_sweep, requests_before + client.requests, refused=True)
    items = answer["data"]
    # An object without an id is no cursor; a page without one would be asked for again for ever.
    last = next((found for item in reversed(items) if (found := identifier(item))), None)
    ends = not answer["has_more"] or last in (None, here.after)
    then = here.next_sweep if ends else replace(here, after=last)
    return Page(sweep, items, then, requests_before + client.requests, read_at=asked_at)


def fetch_singly(client: Lister, sweep: sweeps.Sweep, wanted: list[str], then: Place, requests_before: int) -> Page:
    """Objects that were not listed, one by one, with the ids of those that are gone. Raises as `fetch_list`."""
    items, gone = [], []
    refused, asked_at = False, clock.now()
    for object_id in wanted:
        try:
            items.append(dict(client.raw_get(f"{sweep.path}/{quote(object_id, safe='')}", dict(sweep.params))))
        except NotFoundError:
            gone.append(object_id)
        except StripePermissionError as error:
            if error.revoked or not sweep.without:
                raise
            refused = True
            break
    return Page(sweep, items, then, requests_before + client.requests, tuple(gone), refused, asked_at)
