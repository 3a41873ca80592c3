"""From data sets to candidate lists: where their files are, how they are read, the first stage, and the join."""
