"""All pages on one world."""

from typing import TYPE_CHECKING

from starlette.routing import Route

from sandbox.pages.consent import Consent
from sandbox.pages.invoice import HostedInvoice
from sandbox.pages.portal import Portal
from sandbox.pages.rendering import style_route

if TYPE_CHECKING:
    from sandbox.stripe.world import World


def routes(world: "World") -> list[Route]:
    """Consent, hosted invoice, portal, and their style sheet."""
    return [style_route(), *Consent(world).routes(), *HostedInvoice(world).routes(), *Portal(world).routes()]
