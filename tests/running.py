"""Running the script of a rule as Snakemake does, in this process, and the whole workflow in another one."""

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from snakemake.iocontainers import Namedlist

REPOSITORY = Path(__file__).parents[1]
SCRIPTS = REPOSITORY / "workflow" / "scripts"


def run_script(rule, folder, *, inputs=(), outputs, params=(), wildcards=(), resources=()):
    """Run the script of a rule for the organism hela; its log is {folder}/logs/{rule}.log."""
    fake = SimpleNamespace(
        input=Namedlist(fromdict=dict(inputs)),
        output=Namedlist(fromdict=outputs),
        params=Namedlist(fromdict=dict(params)),
        resources=Namedlist(fromdict=dict(resources)),
        threads=1,
        wildcards=SimpleNamespace(organism="hela", **dict(wildcards)),
        log=[str(folder / "logs" / f"{rule}.log")],
    )
    runpy.run_path(str(SCRIPTS / f"{rule}.py"), init_globals={"snakemake": fake})


def run(*command, folder=REPOSITORY):
    """Run a Python module; output and errors come together."""
    command = [sys.executable, "-m", *map(str, command)]
    return subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def snakemake(folder, *options, repository=REPOSITORY):
    """Run the workflow in a folder of its own."""
    return run("snakemake", "--snakefile", repository / "Snakefile", "--directory", folder, *options, folder=folder)
