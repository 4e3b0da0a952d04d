"""What people and mail filters do with the link of a message, and the judge of what comes of it."""

from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core import clock
from phantom_app.api import links
from tests.simulation.ledger import Click
from tests.simulation.scenario import Customer

if TYPE_CHECKING:
    from tests.simulation.play import Play

COUNTED = (303, 503)  # what a click is answered with: on to Stripe, or that there is no page now
CHASED, PAID = ("open", "contacted", "clicked"), ("recovered", "reversed")
_COUNTS = """select (select count(*) from clicks), (select count(*) from suppressions),
    (select count(*) from ghost_events), (select coalesce(sum(click_count), 0) from ghost_targets)"""


def scan(play: "Play", token: str, stop: str) -> None:
    """A mail filter: it reads pages and presses nothing, and nothing comes of that."""
    before = _what_counts(play)
    play.machine.run("web", lambda: (links.show(token), links.ask_unsubscribe(stop)))
    if (after := _what_counts(play)) != before:
        play.ledger.violated("reading a link changes nothing", f"{before} became {after}")


def _what_counts(play: "Play") -> object:
    return play.place.owner.execute(_COUNTS).fetchone()


def follow(play: "Play", customer: Customer, token: str, *, pays: bool) -> None:
    """Somebody opens the link, and presses its button unless they only look."""
    places: list[str] = []
    pressed: list[datetime] = []

    def visit() -> None:
        page = links.show(token)
        leads = page.status_code == 200 and b"<form" in bytes(page.body)
        _leads_on(play, token, leads=leads)
        if leads and pays:
            pressed.append(clock.now())
            answer = links.follow(token)
            places.append(answer.headers.get("location", ""))
            if answer.status_code not in COUNTED:
                pressed.clear()

    came = play.machine.run("web", visit)
    if pressed:
        mail = play.ledger.links[token]
        play.ledger.click(Click(pressed[0], mail.ghost_id, mail.message_id, came))
    if came:  # else the page did not come, and this person gives up
        _arrive(play, customer, urlsplit(places[0]).path.split("/") if places else [""])


def _arrive(play: "Play", customer: Customer, parts: list[str]) -> None:
    """At Stripe, where some change their mind."""
    if len(parts) < 4 or play.streams("mail").random() < 0.1:
        return
    if parts[1] == "i":
        invoice = play.actions.find_hosted_invoice(parts[2], parts[3])
        if invoice is not None:
            play.people.pay(customer, invoice)
    elif parts[1] == "p" and not play.shop.is_deleted(customer):
        play.people.add_card(customer)


def _leads_on(play: "Play", token: str, *, leads: bool) -> None:
    """A link works until its ghost closes: it must while that is chased, and must not once PHANTOM knows it is paid."""
    ghost = play.ledger.links[token].ghost_id
    asked = "select state, purged_at is null from ghost_targets where id = %s"
    state, whole = play.place.owner.execute(asked, (ghost,)).fetchone() or ("", False)
    if not leads and whole and state in CHASED:
        play.ledger.violated("a link works until its ghost closes", f"{ghost} is {state}")
    if leads and state in PAID:
        play.ledger.violated("a link of what is paid leads nowhere", f"{ghost} is {state}")
