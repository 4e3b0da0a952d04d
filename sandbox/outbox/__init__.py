"""Resend and Twilio on the wire, and the mailbox where what they accepted can be read.

`outbox_of(world)` is the way in for Python; `routes.routes(world)` for HTTP.
"""
