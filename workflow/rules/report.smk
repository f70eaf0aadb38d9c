"""What is handed on: the synthetic images with their masks and a card, and the report of one organism in one file."""


localrules:
    write_report,


rule write_card:
    """Pair the synthetic images with their masks, list them with checksums, and write a card for the data set."""
    input:
        unpack(training_record),
        synthetic=batch_folders("synthetic"),
        masks=batch_folders("masks"),
        manifest="results/{organism}/manifest.csv",
        choice="results/{organism}/sweep/choice.json",
        depth="results/{organism}/rough/depth.json",
        template=TEXTS / "card.md",
    output:
        card="results/{organism}/synthetic/README.md",
        table="results/{organism}/synthetic/metadata.csv",
        checksums="results/{organism}/synthetic/checksums.sha256",
        masks=directory("results/{organism}/synthetic/masks"),
    log:
        "results/{organism}/logs/write_card.log",
    benchmark:
        "results/{organism}/benchmarks/write_card.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        settings=lambda wildcards: synthetic_settings(ORGANISMS[wildcards.organism]),
        source=data_source,
        scale=SETTINGS["scale"],
        seed=SETTINGS["seed"],
    script:
        "../scripts/write_card.py"


rule write_report:
    """Write the report of one organism as a single HTML file."""
    input:
        summary="results/{organism}/evaluation/summary.json",
        statistics="results/{organism}/evaluation/statistics.csv",
        manifest="results/{organism}/manifest.csv",
        figures=figures,
        captions=captions,
        template=TEXTS / "report.html",
    output:
        "results/{organism}/report.html",
    log:
        "results/{organism}/logs/write_report.log",
    conda:
        "../../envs/compute.yaml"
    params:
        titles=FIGURES,
        settings=lambda wildcards: effective_settings(ORGANISMS[wildcards.organism]),
        seed=SETTINGS["seed"],
        # named by captions
        models=compared_models,
        margin=setting("evaluation", "margin"),
    script:
        "../scripts/write_report.py"
