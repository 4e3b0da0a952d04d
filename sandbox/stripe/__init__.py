"""A stateful stand-in for Stripe that speaks its wire protocol to the real SDK.

`world.World` holds everything (store, clock, settings), `api.Api` answers requests, `actions.Actions` is what
pages, populations and drivers call in-process, `clockwork.Clockwork` lets time pass.
"""
