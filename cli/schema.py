"""`migrate`: the database schema to its newest revision."""

import typer

from cli.stack.handover import use_running_stack


def register(app: typer.Typer) -> None:
    app.command()(migrate)


def migrate(context: typer.Context) -> None:
    """Bring the schema to the newest revision, as DATABASE_ADMIN_URL, and grant the logins their rights."""
    import psycopg
    from sqlalchemy.exc import OperationalError

    from cli import migrations
    from cli.errors import CommandError
    from cli.logins import Logins
    from core import config

    use_running_stack(context.obj)
    try:
        migrations.migrate(Logins.of_settings(config.settings()))
    except (psycopg.OperationalError, OperationalError) as error:
        cause = getattr(error, "orig", None) or error  # SQLAlchemy wraps the driver's own words in its own
        raise CommandError(f"the database cannot be reached: {str(cause).strip().splitlines()[0]}") from None
    typer.echo("The schema is up to date.")
