"""Real images: prepared, normalised, listed in a manifest."""
