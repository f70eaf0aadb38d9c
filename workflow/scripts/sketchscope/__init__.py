"""Annotated microscopy from unannotated microscopy: the library behind the workflow.

Pure functions over arrays: plain keywords in, arrays out. Nothing here knows Snakemake.
Images have the axes (Z, Y, X) in 3D and (Y, X) in 2D; every function serves both.
"""

__version__ = "0.1.0"

TRAINED = "sketchscope"  # the Cellpose model trained on synthetic images, in paths and tables
