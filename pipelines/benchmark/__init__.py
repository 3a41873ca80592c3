"""The benchmark: data sets times models, each cell a job, and the table of their results."""
