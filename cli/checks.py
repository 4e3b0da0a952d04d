"""`doctor` and `vault self-test`: what is wrong with this installation, said before it goes wrong."""

from typing import Annotated

import typer

from cli.errors import CommandError
from cli.stack.handover import use_running_stack
from core.errors import PhantomError

vault = typer.Typer(help="Encryption at rest.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.command()(doctor)
    app.add_typer(vault, name="vault")


def doctor(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Check machine, settings, database, Redis and what runs; each finding says what to do. Exit code 1 on a problem.

    Warnings alone leave 0.
    """
    from cli.doctor.command import diagnose

    use_running_stack(context.obj)
    diagnose(context.obj, as_json=as_json)


@vault.command("self-test")
def self_test(context: typer.Context) -> None:
    """Encrypt and decrypt with the present key, and try to be fooled by a changed record."""
    from core import config
    from services.vault import service

    use_running_stack(context.obj)
    config.settings()
    try:
        service.self_test()
    except PhantomError as error:
        raise CommandError(f"the vault's self-test failed: {error.detail}") from None
    typer.echo(service.SELF_TEST_PASSED)
