"""What others have published, as data."""
