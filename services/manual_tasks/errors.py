"""What can be wrong with something a person does to a manual task."""

from core.errors import BadRequestError, ConflictError, NotFoundError


class ManualTaskNotFoundError(NotFoundError):
    code, title = "manual_task_not_found", "There is no such task"


class ManualTaskMovedError(ConflictError):
    """Somebody else was faster; `detail` says with what."""

    code, title = "manual_task_moved", "Somebody else was faster"


class NothingToReleaseError(ConflictError):
    """No message can follow now; `detail` says why."""

    code, title = "nothing_to_release", "No message can be sent for this now"


class BadManualTaskError(BadRequestError):
    code, title = "bad_manual_task", "That cannot be done with this task"
