"""The Ghost Hunter: finds failed, unpaid, recurring invoices by listing, page by page."""
