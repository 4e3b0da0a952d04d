"""Stand-ins on the wire for Stripe, Resend and Twilio: a test double that no product code imports."""
