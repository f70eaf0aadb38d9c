"""Snakemake with naps of at most half a second.

The executor for SLURM sleeps for seconds before every submission, and ever longer between two looks at the queue.
"""

import asyncio
import sys
import time

from snakemake.cli import main

LONGEST = 0.5
_sleep, _sleep_while_others_work = time.sleep, asyncio.sleep
time.sleep = lambda seconds: _sleep(min(seconds, LONGEST))
asyncio.sleep = lambda delay, result=None: _sleep_while_others_work(min(delay, LONGEST), result)
sys.argv[0] = "snakemake"
main()
