"""`/v1/account`, `/v1/accounts` and `/v1/balance`."""

from typing import Any

from sandbox.stripe import accounts
from sandbox.stripe.errors import StripeError
from sandbox.stripe.events import change, emit
from sandbox.stripe.rendering import listing
from sandbox.stripe.routing import Call, route


@route("GET", "/v1/account")
def own_account(call: Call) -> Any:
    return call.world.account(call.space.account)


@route("POST", "/v1/accounts")
def create_account(call: Call) -> Any:
    """Only a platform makes accounts, and is connected to those it makes."""
    params, world = call.params, call.world
    made = accounts.create_account(
        world,
        name=(params.get("business_profile") or {}).get("name") or "Account",
        email=params.get("email") or "",
        country=params.get("country") or "US",
    )
    accounts.connect(world, made["id"], live=call.space.livemode)
    return made


@route("GET", "/v1/accounts/{id}")
def retrieve_account(call: Call) -> Any:
    return call.world.account(_permitted(call))


@route("POST", "/v1/accounts/{id}")
def update_account(call: Call) -> Any:
    identifier = _permitted(call)
    account = call.world.account(identifier)
    given = {name: call.params[name] for name in ("email", "metadata", "business_type") if name in call.params}
    previous = change(account, **given)
    call.world.root.save("account", account)
    emit(call.world, call.world.space(identifier, live=call.space.livemode), "account.updated", account, previous)
    return account


@route("GET", "/v1/accounts")
def list_accounts(call: Call) -> Any:
    rows = call.world.root.table("_connection").objects.values()
    connected = {row["account"] for row in rows if row["live"] == call.space.livemode}
    return listing([call.world.account(identifier) for identifier in sorted(connected)], "/v1/accounts")


def _permitted(call: Call) -> str:
    identifier = call.path["id"]
    known = identifier in call.world.root.table("account").objects
    own = identifier == call.space.account
    if not known or not (own or accounts.connection(call.world, identifier, live=call.space.livemode)):
        raise StripeError(
            403,
            "invalid_request_error",
            f"The provided key does not have access to account '{identifier}' (or that account does not exist). "
            "Application access may have been revoked.",
            code="account_invalid",
        )
    return identifier


@route("GET", "/v1/balance")
def balance(call: Call) -> Any:
    totals: dict[str, int] = {}
    for charge in call.space.table("charge").objects.values():
        if charge["paid"]:
            earned = charge["amount_captured"] - charge["amount_refunded"]
            totals[charge["currency"]] = totals.get(charge["currency"], 0) + earned
    currency = call.world.account(call.space.account)["default_currency"]
    available = [
        {"amount": amount, "currency": name, "source_types": {"card": amount}}
        for name, amount in sorted((totals or {currency: 0}).items())
    ]
    pending = [{"amount": 0, "currency": row["currency"], "source_types": {"card": 0}} for row in available]
    return {"object": "balance", "available": available, "livemode": call.space.livemode, "pending": pending}
