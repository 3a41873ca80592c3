"""Texts to token ids: the tokenizers library, and what gives the same ids sooner."""
