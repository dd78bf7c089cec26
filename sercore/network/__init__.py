"""The network from waveform and words to attributes: all that a published model needs beside its weights.

Its modules import each other relatively, torch and transformers, and nothing else of this package:
``register_for_auto_class`` copies them beside the weights, and ``AutoModel`` runs them where there is no `sercore`.
"""
