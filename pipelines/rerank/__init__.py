"""The main job: candidate lists in, scored Parquet out."""
