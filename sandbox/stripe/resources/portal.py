"""Customer Portal sessions and configurations."""

from typing import TYPE_CHECKING, Any

from sandbox.stripe import forms
from sandbox.stripe.errors import invalid
from sandbox.stripe.events import change, emit
from sandbox.stripe.routing import Call, route
from sandbox.stripe.store import Json, Space

if TYPE_CHECKING:
    from sandbox.stripe.world import World


def default_configuration(world: "World", space: Space) -> Json:
    """The account's default configuration, made when first needed."""
    for found in space.table("billing_portal.configuration").objects.values():
        if found["is_default"]:
            return found
    return new_configuration(world, space, {}, default=True)


def new_configuration(world: "World", space: Space, params: Json, *, default: bool = False) -> Json:
    """A portal configuration; saved, no event."""
    now = world.now()
    made: Json = {
        "id": world.ids.new("bpc"),
        "object": "billing_portal.configuration",
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None}
        | (params.get("business_profile") or {}),
        "created": now,
        "default_return_url": params.get("default_return_url") or None,
        "features": {
            "customer_update": {"allowed_updates": ["email", "address"], "enabled": True},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": True, "payment_method_configuration": None},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": False, "options": ["other"]},
                "enabled": True,
                "mode": "at_period_end",
                "proration_behavior": "none",
            },
            "subscription_pause": {"duration": {"interval_options": [], "type": "indefinite"}, "enabled": False},
            "subscription_update": {
                "billing_cycle_anchor": None,
                "default_allowed_updates": [],
                "enabled": False,
                "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial",
            },
        },
        "is_default": default,
        "livemode": space.livemode,
        "login_page": {"enabled": False, "url": None},
        "metadata": forms.metadata({}, params),
        "name": params.get("name") or None,
        "updated": now,
    }
    return space.save("billing_portal.configuration", made)


def new_session(
    world: "World",
    space: Space,
    customer: Json,
    *,
    return_url: str | None,
    flow: Json | None,
    configuration: Json,
    locale: str | None = None,
) -> Json:
    """A portal session; its page is `{public_url}/p/session/{account}/{id}`."""
    identifier = world.ids.new("bps")
    session: Json = {
        "id": identifier,
        "object": "billing_portal.session",
        "configuration": configuration["id"],
        "created": world.now(),
        "customer": customer["id"],
        "customer_account": None,
        "flow": flow,
        "livemode": space.livemode,
        "locale": locale,
        "on_behalf_of": None,
        "return_url": return_url,
        "url": f"{world.settings.public_url}/p/session/{space.account}/{identifier}",
    }
    space.save("billing_portal.session", session)
    emit(world, space, "billing_portal.session.created", session)
    return session


@route("POST", "/v1/billing_portal/sessions")
def create_session(call: Call) -> Any:
    customer = call.parameter("customer", "customer")
    configuration = call.optional("billing_portal.configuration", "configuration") or default_configuration(
        call.world, call.space
    )
    flow = _flow(call.params.get("flow_data"))
    _require_offered(configuration, flow)
    return_url = call.params.get("return_url") or configuration["default_return_url"]
    return new_session(
        call.world,
        call.space,
        customer,
        return_url=return_url,
        flow=flow,
        configuration=configuration,
        locale=call.params.get("locale"),
    )


def _require_offered(configuration: Json, flow: Json | None) -> None:
    """Refuse as Stripe does where the portal was never set up, or up without the page that is asked for."""
    if not configuration["active"]:
        raise invalid(
            "No configuration provided and your test mode default configuration has not been created. Provide a "
            "configuration or create your default by saving your customer portal settings in test mode at "
            "https://dashboard.stripe.com/test/settings/billing/portal."
        )
    feature = configuration["features"].get(flow["type"]) if flow else None
    if flow and feature and not feature["enabled"]:
        kind = flow["type"]
        said = f"This flow cannot be used because `{kind}` is disabled in the portal configuration."
        raise invalid(said, param="flow_data[type]")


def _flow(given: Json | None) -> Json | None:
    if not given:
        return None
    kind = forms.required(given, "type")
    if kind not in ("payment_method_update", "subscription_cancel", "subscription_update", "customer_update"):
        raise invalid(f"Invalid flow_data[type]: {kind}", param="flow_data[type]")
    after = given.get("after_completion") or {"type": "portal_homepage"}
    return {
        "after_completion": {
            "hosted_confirmation": after.get("hosted_confirmation"),
            "redirect": after.get("redirect"),
            "type": after["type"],
        },
        "subscription_cancel": given.get("subscription_cancel"),
        "subscription_update": given.get("subscription_update"),
        "subscription_update_confirm": None,
        "type": kind,
    }


@route("POST", "/v1/billing_portal/configurations")
def create_configuration(call: Call) -> Any:
    made = new_configuration(call.world, call.space, call.params)
    emit(call.world, call.space, "billing_portal.configuration.created", made)
    return made


@route("GET", "/v1/billing_portal/configurations/{id}")
def retrieve_configuration(call: Call) -> Any:
    return call.object("billing_portal.configuration")


@route("POST", "/v1/billing_portal/configurations/{id}")
def update_configuration(call: Call) -> Any:
    made, params = call.object("billing_portal.configuration"), call.params
    given: Json = {"metadata": forms.metadata(made["metadata"], params), "updated": call.world.now()}
    if "active" in params:
        given["active"] = forms.boolean(params, "active")
    if "default_return_url" in params:
        given["default_return_url"] = params["default_return_url"] or None
    if "business_profile" in params:
        given["business_profile"] = made["business_profile"] | params["business_profile"]
    previous = change(made, **given)
    call.space.save("billing_portal.configuration", made)
    emit(call.world, call.space, "billing_portal.configuration.updated", made, previous)
    return made


@route("GET", "/v1/billing_portal/configurations")
def list_configurations(call: Call) -> Any:
    default_configuration(call.world, call.space)
    return call.page("billing_portal.configuration", "/v1/billing_portal/configurations")
