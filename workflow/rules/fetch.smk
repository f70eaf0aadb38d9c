"""Public data sets and published models. These rules need the internet, so they run where Snakemake runs."""


localrules:
    fetch_dataset,
    fetch_weights,
    list_osf,


rule fetch_dataset:
    """Fetch one public data set and check it."""
    output:
        f"{DOWNLOADS}/{{dataset}}/dataset.json",
    log:
        f"{DOWNLOADS}/logs/fetch_dataset.{{dataset}}.log",
    conda:
        "../../envs/compute.yaml"
    params:
        name=lambda wildcards: wildcards.dataset,
        dataset=lambda wildcards: SOURCES["datasets"][wildcards.dataset],
        mirror=SETTINGS["downloads"]["mirror"],
    script:
        "../scripts/fetch_dataset.py"


rule list_osf:
    """List the files of a project on the Open Science Framework."""
    output:
        f"{DOWNLOADS}/osf/{{node}}.csv",
    log:
        f"{DOWNLOADS}/logs/list_osf.{{node}}.log",
    conda:
        "../../envs/compute.yaml"
    params:
        mirror=SETTINGS["downloads"]["mirror"],
    script:
        "../scripts/list_osf.py"


rule fetch_weights:
    """Fetch the weights of a published model, or record why they cannot be fetched if they are only a baseline."""
    output:
        f"{DOWNLOADS}/models/{{published}}.json",
    log:
        f"{DOWNLOADS}/logs/fetch_weights.{{published}}.log",
    conda:
        "../../envs/compute.yaml"
    params:
        weights=lambda wildcards: SOURCES["models"][wildcards.published],
        required=lambda wildcards: wildcards.published in MASK_MODELS,
        mirror=SETTINGS["downloads"]["mirror"],
    script:
        "../scripts/fetch_weights.py"
