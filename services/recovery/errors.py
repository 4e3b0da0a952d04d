"""What can be wrong with a request about a ghost."""

from core.errors import BadRequestError, ConflictError, NotFoundError


class GhostMovedError(ConflictError):
    """Another transaction made or changed the ghost between our first look and our lock. Trying again helps."""

    code, title = "ghost_moved", "This was changed at the same moment: please try again"


class GhostNotFoundError(NotFoundError):
    code, title = "ghost_not_found", "There is no such ghost"


class CustomerNotFoundError(NotFoundError):
    code, title = "customer_not_found", "There is no such customer"


class NobodyToForgetError(ConflictError):
    code, title = "nobody_to_forget", "Stripe never named the customer of this invoice"


class InvalidQueryError(BadRequestError):
    code, title = "invalid_query", "The list cannot be filtered like this"
