"""Whose keys messages go out with: the merchant's own, else the platform's, else nobody's: the outbox."""
