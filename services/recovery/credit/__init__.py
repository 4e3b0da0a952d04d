"""Money that came back: whose merit it is, what of it went back again, and how a ghost ends."""
