"""Why a worker must not go on with a hunt."""

from core.errors import ConflictError


class HuntOverError(ConflictError):
    """It ended, was given up or was superseded while this worker fetched a page."""

    code, title = "hunt_over", "This hunt has ended already"


class HuntTakenOverError(ConflictError):
    """Somebody started it again since; the later one has it."""

    code, title = "hunt_taken_over", "Another worker goes on with this hunt"
