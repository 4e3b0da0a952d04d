"""What an open page holds: flat states of frozen view models, rebuilt by `on_load`, never table rows."""
