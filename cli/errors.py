"""The one way a command ends badly: a line a person can act on, and exit code 1."""


class CommandError(Exception):
    """The message is one clear line; no traceback is shown."""
