"""What goes over the wire: the asked shape, and `expand` to four levels."""

from typing import Any

from sandbox.stripe import shapes
from sandbox.stripe.errors import StripeError, invalid
from sandbox.stripe.store import Json, Space

MAX_DEPTH = 4
Tree = dict[str, "Tree"]

# Fields that exist only when asked for.
INCLUDABLE = {
    "invoice": ("payments", "confirmation_secret"),
    "customer": ("subscriptions", "sources", "tax_ids"),
    "charge": ("refunds",),
    "payment_intent": ("payment_record",),
}
# Fields that hold the id of an object kept in another space or of a type the sandbox knows no objects of.
OPAQUE = {"balance_transaction", "application", "on_behalf_of", "test_clock", "review", "source", "customer_account"}


def parse_expand(paths: Any) -> Tree:
    """`["data.customer"]` to a tree; refuses a fifth level as Stripe does."""
    tree: Tree = {}
    if not isinstance(paths, list):
        raise invalid("Invalid array", param="expand")
    for position, path in enumerate(paths):
        names = str(path).split(".")
        if len(names) > MAX_DEPTH:
            raise StripeError(
                400,
                "invalid_request_error",
                f"You cannot expand more than {MAX_DEPTH} levels of a property. You tried to expand: {path}",
                code="property_expansion_max_depth",
                param=f"expand[{position}]",
            )
        here = tree
        for name in names:
            here = here.setdefault(name, {})
    return tree


class Renderer:
    """Renders for one request: one space, one shape."""

    def __init__(self, space: Space, shape: str) -> None:
        self.space, self.acacia = space, shape == "acacia"

    def render(self, obj: Any, tree: Tree | None = None, path: str = "") -> Any:
        """`obj` as the client shall see it. Copies only what changes."""
        if not isinstance(obj, dict):
            return obj
        if self.acacia:
            obj = self._older(obj)
        return self._expand(obj, tree, path) if tree else obj

    def _older(self, obj: Json) -> Json:
        if obj.get("object") == "list":
            return dict(obj, data=[self._older(item) for item in obj["data"]])
        return shapes.to_acacia(self.space, obj)

    def _expand(self, obj: Json, tree: Tree, path: str) -> Json:
        copy = dict(obj)
        for name, below in tree.items():
            here = f"{path}.{name}" if path else name
            if name not in copy:
                if obj.get("deleted"):  # an id and the word that it is gone: there is nothing of it to expand
                    continue
                copy[name] = self._include(obj, name, here)
            copy[name] = self._value(copy[name], name, below, here)
        return copy

    def _value(self, value: Any, name: str, below: Tree, path: str) -> Any:
        if isinstance(value, list):
            return [self._value(item, name, below, path) for item in value]
        if isinstance(value, dict):
            return self._expand(value, below, path) if below else value
        if value is None or name in OPAQUE:
            return value
        found = self.space.find(value) if isinstance(value, str) else None
        if found is None:
            raise invalid(f"This property cannot be expanded ({path}).", param="expand")
        return self.render(found[1], below, path)

    def _include(self, obj: Json, name: str, path: str) -> Any:
        kind = obj.get("object", "")
        if name not in INCLUDABLE.get(kind, ()):
            raise invalid(
                f"This property cannot be expanded ({path}). You may want to try expanding "
                f"'{path.split('.')[0]}' instead, or check the API version.",
                param="expand",
            )
        if kind == "invoice" and self.acacia:
            raise invalid(f"This property cannot be expanded ({path}).", param="expand")
        if name == "payments":
            payments = self.space.table("invoice_payment").where("invoice", obj["id"])
            return listing(payments, "/v1/invoice_payments")
        if name == "confirmation_secret":
            return self._confirmation_secret(obj)
        if name == "refunds":
            return listing(self.space.table("refund").where("charge", obj["id"]), f"/v1/charges/{obj['id']}/refunds")
        if name == "subscriptions":
            live = [
                s for s in self.space.table("subscription").where("customer", obj["id"]) if s["status"] != "canceled"
            ]
            return self.render(listing(live[::-1], f"/v1/customers/{obj['id']}/subscriptions"))
        return listing([], f"/v1/customers/{obj['id']}/{name}")

    def _confirmation_secret(self, invoice: Json) -> Json | None:
        intent = self.space.get("payment_intent", shapes.payment_intent_of(self.space, invoice["id"]))
        if intent is None or invoice["status"] != "open":
            return None
        return {"client_secret": intent["client_secret"], "type": "payment_intent"}


def listing(data: list[Json], url: str, *, has_more: bool = False) -> Json:
    """Stripe's list object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}
