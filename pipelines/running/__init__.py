"""What all jobs share: options, the model, the runner, worker processes and progress."""
