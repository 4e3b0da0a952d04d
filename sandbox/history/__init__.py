"""The demo's past: months that the engine itself lived on the sandbox's clock, fast-forwarded, no row by hand."""
