"""From scores to part files, and from part files to the report."""
