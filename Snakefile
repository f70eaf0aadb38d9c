"""From a clone, `snakemake` runs the workflow, which is in workflow/Snakefile."""


include: "workflow/Snakefile"


rule default:
    """Make everything that config.yaml asks for."""
    default_target: True
    input:
        rules.all.input,
