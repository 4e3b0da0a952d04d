"""Which parameters an endpoint knows: Stripe refuses others (`parameter_unknown`), so a typing error shows.

The names come from the SDK's own parameter types, which are generated from Stripe's description of its API. They
describe the newest version only, so callers on an older version are not checked.
"""

import importlib
from functools import cache

from sandbox.stripe.errors import StripeError
from sandbox.stripe.store import Json

_NAMES = {"invoiceitems": "InvoiceItem", "balance": "Balance"}
_VERBS = {"GET": ("Retrieve",), "POST": ("Modify", "Update"), "DELETE": ("Delete", "Cancel")}
# Still answered for clients of the older objects.
LEGACY = {
    "/v1/customers": {"payment_method", "source"},
    "/v1/charges": {"source", "card"},
    "/v1/payment_intents": {"source", "payment_method_types"},
    "/v1/setup_intents": {"payment_method_types"},
    "/v1/invoiceitems": {"price"},
}


def check(method: str, pattern: str, params: Json) -> None:
    """Raises Stripe's error when `params` holds a name the endpoint does not know."""
    known = known_parameters(method, pattern)
    if known is None:
        return
    unknown = sorted(set(params) - known - {"expand"} - LEGACY.get(pattern, set()))
    if unknown:
        plural = "s" if len(unknown) > 1 else ""
        raise StripeError(
            400,
            "invalid_request_error",
            f"Received unknown parameter{plural}: {', '.join(unknown)}",
            code="parameter_unknown",
            param=unknown[0],
        )


@cache
def known_parameters(method: str, pattern: str) -> frozenset[str] | None:
    """The names, or None where the SDK has no parameter type for this endpoint."""
    parts = pattern.strip("/").split("/")[1:]
    module = "stripe.params"
    if parts[0] in ("billing", "billing_portal"):
        module, parts = f"{module}.{parts[0]}", parts[1:]
    params = importlib.import_module(module)
    for name in _candidates(method, parts):
        found = getattr(params, name, None)
        if found is not None:
            return frozenset(found.__annotations__)
    return None


def _candidates(method: str, parts: list[str]) -> list[str]:
    resource = _NAMES.get(parts[0]) or _camel(parts[0].removesuffix("s"))
    if len(parts) == 1:
        return [f"{resource}{'List' if method == 'GET' else 'Create'}Params"]
    if len(parts) == 2:
        return [f"{resource}{verb}Params" for verb in _VERBS[method]]
    action = _camel(parts[2])
    return [f"{resource}{action}Params", f"{resource}{action}{resource}Params"]


def _camel(text: str) -> str:
    return "".join(part.capitalize() for part in text.split("_"))
