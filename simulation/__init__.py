"""The made-up corpus: grammar, population, voices, a release on disk, and the recipe of the nano encoders."""
