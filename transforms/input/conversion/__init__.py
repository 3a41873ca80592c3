"""Users' own files, in whatever form they are, to Parquet as the reranking job reads it."""
