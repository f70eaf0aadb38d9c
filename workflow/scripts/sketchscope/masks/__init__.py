"""Masks of synthetic cells: simulated, or rearranged from segmented images."""
