"""How each family of models turns texts into tokens, and hidden states into scores."""
