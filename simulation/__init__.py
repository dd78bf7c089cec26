"""The made-up corpus: grammar, population, voices, a release on disk, and the recipe of the nano encoders; and made-up
predictions, by which `significance` sees whether tests keep their promise."""
