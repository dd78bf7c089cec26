"""How the small encoders in ``models/`` were pretrained."""
