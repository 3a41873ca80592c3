"""The job that makes candidate lists: queries and a corpus in, a first stage's candidates out."""
