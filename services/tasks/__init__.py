"""The durable queue: every piece of work is a row that commits together with what caused it."""
