"""Public data sets and published models. These rules need the internet, so they run where Snakemake runs."""


localrules:
    fetch_dataset,
    fetch_weights,


rule fetch_dataset:
    output:
        f"{DOWNLOADS}/{{dataset}}/dataset.json",
    log:
        f"{DOWNLOADS}/logs/fetch_dataset.{{dataset}}.log",
    conda:
        "../../envs/diffusion.yaml"
    params:
        name=lambda wildcards: wildcards.dataset,
        dataset=lambda wildcards: SOURCES["datasets"][wildcards.dataset],
        mirror=SETTINGS["downloads"]["mirror"],
    script:
        "../scripts/fetch_dataset.py"


rule fetch_weights:
    output:
        f"{DOWNLOADS}/models/{{published}}",
    log:
        f"{DOWNLOADS}/logs/fetch_weights.{{published}}.log",
    conda:
        "../../envs/diffusion.yaml"
    params:
        weights=lambda wildcards: SOURCES["models"][wildcards.published],
        mirror=SETTINGS["downloads"]["mirror"],
    script:
        "../scripts/fetch_weights.py"
