"""`billing`: whom the operator bills for what a merchant got back."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from cli.errors import CommandError
from cli.stack.handover import use_running_stack


def register(app: typer.Typer) -> None:
    app.command()(billing)


def billing(
    context: typer.Context,
    merchant: Annotated[str, typer.Option(help="The merchant's id.")],
    customer: Annotated[
        str, typer.Option(help="Their customer in your own Stripe account, cus_...; empty: bill no more.")
    ],
    since: Annotated[
        str, typer.Option(help="The first day that is billed, as 2026-11-30 (UTC); today if not given.")
    ] = "",
) -> None:
    """Report what a merchant got back to your Stripe meters, from a day on. USAGE_METER names the meters."""
    from core import config, db
    from core.errors import PhantomError
    from services.outbound import usage

    use_running_stack(context.obj)
    config.install_test_doubles(config.settings())
    try:
        day = datetime.strptime(since, "%Y-%m-%d").replace(tzinfo=UTC).date() if since else None
    except ValueError:
        raise CommandError(f"{since!r} is no day; write it as 2026-11-30.") from None
    try:
        with db.tenant_session(merchant) as session:
            usage.bill(session, merchant, customer.strip() or None, since=day)
    except PhantomError as error:
        raise CommandError(error.detail) from None
    if not customer.strip():
        typer.echo("Not billed any more.")
    elif config.settings().usage_meter is None:
        typer.echo("Kept. Nothing is reported before USAGE_METER names your meters.")
    else:
        typer.echo("Billed from now on: each day is reported once it is over.")
