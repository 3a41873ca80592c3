"""What knows nothing of jobs: errors, files, the hub, JSON and TREC text."""
