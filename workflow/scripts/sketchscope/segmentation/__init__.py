"""Segmentation of images: classical, or by Cellpose."""
