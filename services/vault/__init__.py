"""Encryption at rest: envelope AES-256-GCM under versioned master keys."""
