"""What can go wrong when a secret is opened."""

from core.errors import NotFoundError, PhantomError


class VaultError(PhantomError):
    """A stored secret cannot be trusted: it was changed, moved to another row or column, or its key is not here.

    One error for all of these: which check failed helps only whoever is forging.
    """

    status, code, title = 500, "vault", "A stored secret cannot be opened"


class SecretNotFoundError(NotFoundError):
    code, title = "secret_not_found", "This secret has not been set"
