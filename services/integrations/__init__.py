"""Vendors, behind types of our own."""
