"""Masks drawn as sketches: one grey value per cell or membrane, blurred."""
