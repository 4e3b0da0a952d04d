"""`erase`: forget one customer of one merchant, at once and for ever."""

from typing import Annotated

import typer

from cli.errors import CommandError
from cli.stack.handover import use_running_stack


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
    except PhantomError as error:
        raise CommandError(error.detail) from None
    typer.echo(f"Forgotten. {ghosts} ghost{'' if ghosts == 1 else 's'} of this customer keep amounts and dates alone.")
