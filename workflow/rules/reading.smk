"""The files of settings, checked before Snakemake reads them.

Its own reader names no line, takes the last of two equal keys in silence, and reads 3:5 as 185.
"""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# of this file, not of the main Snakefile: this workflow may be a module of another one
REPOSITORY = Path(workflow.current_basedir).parents[1]

sys.path.insert(0, str(REPOSITORY / "workflow" / "scripts"))
from sketchscope.config.yaml_files import read_yaml
from sketchscope.errors import InputError

# a module has its settings from the workflow that uses it
if not workflow.modifier.skip_configfile:
    files = [Path("config.yaml"), *workflow.overwrite_configfiles]
    try:
        for file in files:
            if file.suffix != ".json" and file.exists():
                read_yaml(file)
    except InputError as error:
        raise WorkflowError(str(error)) from None
