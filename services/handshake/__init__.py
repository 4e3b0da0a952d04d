"""Webhook intake from Stripe: verified, stored once, acknowledged after the commit, handled by a task."""
