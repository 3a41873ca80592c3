"""The record of a job in its output directory, its lock and its progress."""
