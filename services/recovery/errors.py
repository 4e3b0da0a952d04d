"""What can be wrong with a request about a ghost."""

from core.errors import BadRequestError, NotFoundError


class GhostNotFoundError(NotFoundError):
    code, title = "ghost_not_found", "There is no such ghost"


class InvalidQueryError(BadRequestError):
    code, title = "invalid_query", "The list cannot be filtered like this"
