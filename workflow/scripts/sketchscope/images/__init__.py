"""Real images: prepared, normalised and listed in a manifest."""
