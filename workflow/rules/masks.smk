"""Masks of cells that never were: the annotation of the synthetic images."""


rule simulate_masks:
    input:
        manifest="results/{organism}/manifest.csv",
    output:
        masks=directory("results/{organism}/masks/{batch}"),
    log:
        "results/{organism}/logs/simulate_masks.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/simulate_masks.{batch}.tsv"
    # one job with draw_sketches on a cluster
    group:
        "masks"
    conda:
        "../../envs/diffusion.yaml"
    resources:
        mem_mb=volume_memory(4000, 16),
        runtime=growing(60),
    params:
        stain=setting("stain"),
        settings=lambda wildcards: simulation_settings(ORGANISMS[wildcards.organism]),
        cell_diameter=setting("cell_diameter"),
        volume_shape=setting("volume_shape"),
        volume_format=setting("volume_format"),
        volumes=batch_volumes,
        seed=SETTINGS["seed"],
    script:
        "../scripts/simulate_masks.py"
