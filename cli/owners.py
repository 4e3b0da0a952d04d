"""`owner create`: how the first person gets into an installation that nobody can sign in to yet."""

from typing import Annotated

import typer

from cli.errors import CommandError
from cli.stack.handover import use_running_stack

owner = typer.Typer(help="The people who own a workspace.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(owner, name="owner")


@owner.callback()
def owners() -> None:
    """A group even while it has one command."""


@owner.command("create")
def create(
    context: typer.Context,
    email: Annotated[str, typer.Option(help="Who may sign in; made if they do not exist.")],
) -> None:
    """Print a one-time link by which this person sets a password. On stdout the link alone; the rest on stderr."""
    from sqlalchemy.exc import OperationalError

    from core import config
    from core.errors import PhantomError
    from services.identity.owner_link import create_owner_link

    use_running_stack(context.obj)
    config.install_test_doubles(config.settings())
    try:
        link = create_owner_link(email)
    except OperationalError as error:
        raise CommandError(f"the database cannot be reached: {str(error.orig).strip().splitlines()[0]}") from None
    except PhantomError as error:
        raise CommandError(error.detail) from None
    typer.echo(f"Opens: {', '.join(link.merchants) or 'a new workspace'}", err=True)
    typer.echo(f"Works once, until {link.expires_at:%Y-%m-%d %H:%M} UTC:", err=True)
    typer.echo(link.url)
