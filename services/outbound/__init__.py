"""What leaves for others than customers: usage for the operator's bill."""
