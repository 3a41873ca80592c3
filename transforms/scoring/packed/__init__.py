"""Tokens on a device: how sequences are packed, attended to and run in batches."""
