"""Measures of rankings: qrels, runs, measures, comparison and significance."""
