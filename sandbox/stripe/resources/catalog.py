"""Products, prices and coupons."""

from typing import Any

from sandbox.stripe import forms
from sandbox.stripe.errors import invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Space


def new_product(world: Any, space: Space, params: Json) -> Json:
    """A product from API parameters; saved, no event."""
    now = world.now()
    product: Json = {
        "id": params.get("id") or world.ids.new("prod", 14),
        "object": "product",
        "active": forms.boolean(params, "active", True),
        "created": now,
        "default_price": None,
        "description": params.get("description") or None,
        "images": params.get("images") or [],
        "livemode": space.livemode,
        "marketing_features": [],
        "metadata": forms.metadata({}, params),
        "name": forms.required(params, "name"),
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": now,
        "url": None,
    }
    return space.save("product", product)


def new_price(world: Any, space: Space, params: Json, product: str) -> Json:
    """A price from API parameters; saved, no event."""
    recurring = params.get("recurring")
    text = params.get("unit_amount_decimal")
    amount = forms.integer(params, "unit_amount")
    if amount is None and text is None:
        raise forms.missing("unit_amount")
    if amount is None and text and "." not in text:
        amount = int(text)
    price: Json = {
        "id": world.ids.new("price"),
        "object": "price",
        "active": forms.boolean(params, "active", True),
        "billing_scheme": "per_unit",
        "created": world.now(),
        "currency": str(forms.required(params, "currency")).lower(),
        "custom_unit_amount": None,
        "livemode": space.livemode,
        "lookup_key": params.get("lookup_key") or None,
        "metadata": forms.metadata({}, params),
        "nickname": params.get("nickname") or None,
        "product": product,
        "recurring": _recurring(recurring) if recurring else None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": text or str(amount),
    }
    return space.save("price", price)


def _recurring(given: Json) -> Json:
    interval = forms.required(given, "interval")
    if interval not in ("day", "week", "month", "year"):
        raise invalid("Invalid recurring[interval]: must be one of day, month, week, or year", param="recurring")
    return {
        "interval": interval,
        "interval_count": forms.integer(given, "interval_count", 1),
        "meter": None,
        "trial_period_days": None,
        "usage_type": given.get("usage_type") or "licensed",
    }


def plan_of(price: Json) -> Json:
    """The plan object that still accompanies a price on subscription items."""
    recurring = price["recurring"] or {"interval": "month", "interval_count": 1, "usage_type": "licensed"}
    return {
        "id": price["id"],
        "object": "plan",
        "active": price["active"],
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "billing_scheme": "per_unit",
        "created": price["created"],
        "currency": price["currency"],
        "interval": recurring["interval"],
        "interval_count": recurring["interval_count"],
        "livemode": price["livemode"],
        "metadata": price["metadata"],
        "meter": None,
        "nickname": price["nickname"],
        "product": price["product"],
        "tiers_mode": None,
        "transform_usage": None,
        "trial_period_days": None,
        "usage_type": recurring["usage_type"],
    }


@route("POST", "/v1/products")
def create_product(call: Call) -> Any:
    product = new_product(call.world, call.space, call.params)
    emit(call.world, call.space, "product.created", product)
    given = call.params.get("default_price_data")
    if given:
        price = new_price(call.world, call.space, given, product["id"])
        product["default_price"] = price["id"]
        call.space.save("product", product)
        emit(call.world, call.space, "price.created", price)
    return product


@route("GET", "/v1/products/{id}")
def retrieve_product(call: Call) -> Any:
    return call.object("product")


@route("POST", "/v1/products/{id}")
def update_product(call: Call) -> Any:
    product, params = call.object("product"), call.params
    given: Json = {name: params[name] or None for name in ("name", "description", "default_price") if name in params}
    if "active" in params:
        given["active"] = forms.boolean(params, "active")
    previous = change(product, updated=call.world.now(), metadata=forms.metadata(product["metadata"], params), **given)
    call.space.save("product", product)
    emit(call.world, call.space, "product.updated", product, previous)
    return product


@route("DELETE", "/v1/products/{id}")
def delete_product(call: Call) -> Any:
    product = call.object("product")
    if call.space.table("price").where("product", product["id"]):
        raise invalid("This product cannot be deleted because it has one or more user-created prices.")
    call.space.remove(product["id"])
    emit(call.world, call.space, "product.deleted", product)
    return {"id": product["id"], "object": "product", "deleted": True}


@route("GET", "/v1/products")
def list_products(call: Call) -> Any:
    return call.page("product", "/v1/products", _active(call))


@route("POST", "/v1/prices")
def create_price(call: Call) -> Any:
    if call.params.get("product_data"):
        product = new_product(call.world, call.space, call.params["product_data"])
        emit(call.world, call.space, "product.created", product)
    else:
        product = call.parameter("product", "product")
    price = new_price(call.world, call.space, call.params, product["id"])
    emit(call.world, call.space, "price.created", price)
    return price


@route("GET", "/v1/prices/{id}")
def retrieve_price(call: Call) -> Any:
    return call.object("price")


@route("POST", "/v1/prices/{id}")
def update_price(call: Call) -> Any:
    price, params = call.object("price"), call.params
    given: Json = {name: params[name] or None for name in ("nickname", "lookup_key") if name in params}
    if "active" in params:
        given["active"] = forms.boolean(params, "active")
    previous = change(price, metadata=forms.metadata(price["metadata"], params), **given)
    call.space.save("price", price)
    emit(call.world, call.space, "price.updated", price, previous)
    return price


@route("GET", "/v1/prices")
def list_prices(call: Call) -> Any:
    filters = _active(call) | {"product": call.params.get("product"), "currency": call.params.get("currency")}
    return call.page("price", "/v1/prices", filters)


def _active(call: Call) -> Json:
    return {"active": forms.boolean(call.params, "active")} if "active" in call.params else {}


@route("POST", "/v1/plans")
def create_plan(call: Call) -> Any:
    params = call.params
    given = params.get("product")
    if isinstance(given, dict):
        product = new_product(call.world, call.space, given)
        emit(call.world, call.space, "product.created", product)
    else:
        product = call.parameter("product", "product")
    recurring = {"interval": params.get("interval"), "interval_count": params.get("interval_count")}
    amount = params.get("amount", params.get("amount_decimal"))
    price = new_price(
        call.world,
        call.space,
        {"unit_amount": amount, "currency": params.get("currency"), "recurring": recurring},
        product["id"],
    )
    plan = plan_of(price)
    emit(call.world, call.space, "plan.created", plan)
    emit(call.world, call.space, "price.created", price)
    return plan


@route("GET", "/v1/plans/{id}")
def retrieve_plan(call: Call) -> Any:
    return plan_of(call.object("price"))
