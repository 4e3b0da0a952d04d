"""`erase`: forget one customer of one merchant, at once and for ever."""

import re
from typing import Annotated

import typer

from cli.errors import CommandError
from cli.stack.handover import use_running_stack

_LIKE_STRIPES = re.compile(r"cus_[A-Za-z0-9]+")


def register(app: typer.Typer) -> None:
    app.command()(erase)


def erase(
    context: typer.Context,
    merchant: Annotated[str, typer.Option(help="The merchant's id.")],
    customer: Annotated[str, typer.Option(help="The customer's id at Stripe, cus_...")],
) -> None:
    """Remove a customer's personal data now, and keep them from being imported again. It cannot be undone."""
    from core import clock, config, db
    from core.errors import PhantomError
    from services.recovery import purge

    use_running_stack(context.obj)
    config.install_test_doubles(config.settings())
    try:
        with db.tenant_session(merchant) as session:
            ghosts = purge.erase_customer(session, merchant, customer.strip(), clock.now())
            # Old accounts have ids of their own choice: those of known ghosts are believed.
            if not ghosts and not _LIKE_STRIPES.fullmatch(customer.strip()):
                raise CommandError(f"{customer.strip()!r} is no customer's id: Stripe's begin with cus_.")
    except PhantomError as error:
        raise CommandError(error.detail) from None
    typer.echo(_told(ghosts))


def _told(ghosts: int) -> str:
    if not ghosts:
        return "No ghost of this customer is known. From now on they are kept away: nothing of theirs is imported."
    return f"Forgotten. {ghosts} ghost{'' if ghosts == 1 else 's'} of this customer keep amounts and dates alone."
