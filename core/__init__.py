"""Floor zero: what every other package stands on and nothing here knows about billing."""
