"""Everything the outbox answers over HTTP, and its work in the background."""

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from sandbox.outbox.control import Control
from sandbox.outbox.letters import POLICY, framed, linked
from sandbox.outbox.resend import ResendApi
from sandbox.outbox.store import Message, Outbox, outbox_of
from sandbox.outbox.twilio import TwilioApi
from sandbox.outbox.webhooks import postman_of
from sandbox.outbox.wire import Wire
from sandbox.pages.rendering import notice, page

if TYPE_CHECKING:
    from sandbox.stripe.world import World

A_PAGE = 50


def resend_of(world: "World") -> ResendApi:
    """The world's Resend, made when first asked for."""
    if "resend" not in world.beside:
        world.beside["resend"] = ResendApi(outbox_of(world), postman_of(world))
    found: ResendApi = world.beside["resend"]
    return found


def twilio_of(world: "World") -> TwilioApi:
    """The world's Twilio, made when first asked for."""
    if "twilio" not in world.beside:
        world.beside["twilio"] = TwilioApi(outbox_of(world), postman_of(world))
    found: TwilioApi = world.beside["twilio"]
    return found


class Mailbox:
    """The pages on which a person reads what was sent to a customer."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox

    async def listing(self, request: Request) -> Response:
        """`/outbox[?to=&before=]`"""
        return self._page(request, None)

    async def reading(self, request: Request) -> Response:
        """`/outbox/{id}`"""
        found = self.outbox.get(request.path_params["id"])
        if found is None:
            text = "There is no such message in this sandbox."
            return notice("Message not found", text, status=404, link=("All messages", "/outbox"))
        return self._page(request, found)

    async def body(self, request: Request) -> Response:
        """`/outbox/{id}/body`: what the frame shows."""
        found = self.outbox.get(request.path_params["id"])
        html = framed(found.body.get("html") or "") if found else ""
        headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff", "cache-control": "no-store"}
        return HTMLResponse(html, 200 if found else 404, headers)

    def _page(self, request: Request, chosen: Message | None) -> Response:
        to, before = request.query_params.get("to", "").strip(), request.query_params.get("before")
        found = self.outbox.messages(to=to or None, before=before, limit=A_PAGE + 1)
        messages = found[:A_PAGE]
        kept = {name: value for name, value in (("to", to), ("before", before)) if value}
        older = f"/outbox?{urlencode(kept | {'before': messages[-1].id})}" if len(found) > A_PAGE else None
        return page(
            "mailbox.html",
            messages=messages,
            chosen=chosen,
            to=to,
            query=f"?{urlencode(kept)}" if kept else "",
            older=older,
            plain=request.query_params.get("view") == "text",
            text=linked(chosen.body.get("text") or "") if chosen else "",
        )


def routes(world: "World") -> list[Route]:
    """Resend, Twilio, control and mailbox."""
    resend, twilio, mailbox = Wire(resend_of(world).handle), Wire(twilio_of(world).handle), Mailbox(outbox_of(world))
    return [
        Route("/emails", resend, methods=["GET", "POST"]),
        Route("/emails/{path:path}", resend, methods=["GET", "POST"]),
        Route("/2010-04-01/{path:path}", twilio, methods=["GET", "POST"]),
        *Control(resend_of(world), twilio_of(world)).routes(),
        Route("/outbox", mailbox.listing),
        Route("/outbox/{id}", mailbox.reading),
        Route("/outbox/{id}/body", mailbox.body),
    ]


async def run(world: "World") -> None:
    """Post webhooks until cancelled."""
    await postman_of(world).run()
