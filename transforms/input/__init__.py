"""From input files to shards: inspected, planned, regrouped where needed, read and cleaned."""
