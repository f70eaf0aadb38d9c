"""Masks drawn as sketches: one grey value per nucleus or membrane, blurred."""


rule draw_sketches:
    """Draw the masks of a batch as sketches."""
    input:
        haze=measured_haze,
        masks="results/{organism}/masks/{batch}",
        manifest="results/{organism}/manifest.csv",
        cells="results/{organism}/rough/cells.csv",
        depth="results/{organism}/rough/depth.json",
        choice=choice_for("sketch", "sigma"),
    output:
        sketches=directory("results/{organism}/sketches/{batch}"),
    log:
        "results/{organism}/logs/draw_sketches.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/draw_sketches.{batch}.tsv"
    wildcard_constraints:
        organism=any_of(set(ORGANISMS) - REDRAWN),
    group:
        "masks"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=volume_memory(4000, 24),
        runtime=growing(60),
    params:
        stain=setting("stain"),
        settings=setting("sketch"),
        volumes=batch_volumes,
        seed=SETTINGS["seed"],
    script:
        "../scripts/draw_sketches.py"
