"""Snakemake with naps of at most half a second: the executor for SLURM sleeps for seconds before every submission."""

import sys
import time

from snakemake.cli import main

_sleep = time.sleep
time.sleep = lambda seconds: _sleep(min(seconds, 0.5))
sys.argv[0] = "snakemake"
main()
