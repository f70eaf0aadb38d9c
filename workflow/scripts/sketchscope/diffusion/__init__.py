"""The diffusion model: trained on real images, then made to turn sketches into images."""
