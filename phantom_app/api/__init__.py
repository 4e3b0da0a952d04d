"""HTTP routes beside the screens."""
