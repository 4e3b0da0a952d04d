"""What people see in a browser: consent, hosted invoice, Customer Portal, and the frame shared with the mailbox."""
