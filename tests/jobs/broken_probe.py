"""A handler whose import fails."""

import no_such_module  # noqa: F401  # the failure is wanted
