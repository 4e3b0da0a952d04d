"""The tenant: how it connects, what it wants, who it is."""
