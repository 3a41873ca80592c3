"""How fast a model scores here, beside other ways to score the same pairs and the least time that is possible."""
