"""The comparison of a benchmark's results: the cells, and the pages that are made of them."""
