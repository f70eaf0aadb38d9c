"""Running the script of a rule as Snakemake does, in this process."""

import runpy
from pathlib import Path
from types import SimpleNamespace

from snakemake.iocontainers import Namedlist

SCRIPTS = Path(__file__).parents[1] / "workflow" / "scripts"


def run_script(rule, folder, *, inputs=(), outputs, params=()):
    """Run the script of a rule for the organism hela; its log is {folder}/logs/{rule}.log."""
    fake = SimpleNamespace(
        input=Namedlist(fromdict=dict(inputs)),
        output=Namedlist(fromdict=outputs),
        params=Namedlist(fromdict=dict(params)),
        wildcards=SimpleNamespace(organism="hela"),
        log=[str(folder / "logs" / f"{rule}.log")],
    )
    runpy.run_path(str(SCRIPTS / f"{rule}.py"), init_globals={"snakemake": fake})
