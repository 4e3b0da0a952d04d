"""A stateful stand-in for Stripe that speaks its wire protocol to the real SDK.

- `world.World(settings)` holds everything: store, clock, settings, `clockwork` (time and what falls due),
  `deliveries` (webhooks), `faults`, `limits`, and `decide`, the hook that says whether a charge succeeds.
- `api.Api(world).handle(request)` answers one request; `http` puts it on the network, `inprocess` under the SDK.
- `actions.Actions(world)` is what pages, populations, tests and drivers call: pay_invoice, create_customer, ...
- Reading: `world.space(account).get("invoice", id)` and `.table("invoice").where("customer", id)` give the live
  dicts in the newest shape; `lookups` says how they refer to one another. Only actions change them.
- A driver in the same process: `world.clockwork.next_due()`, `.advance_to(moment)`, then
  `world.deliveries.take_deliveries()` and post what it returns.
- Pages live at `{public_url}/i/{account}/{token}` (hosted invoice, `Actions.find_hosted_invoice`),
  `/p/session/{account}/{session}` (Customer Portal, `Actions.find_portal_session`) and `/oauth/authorize`
  (consent, then `Actions.create_authorization_code`).
"""
