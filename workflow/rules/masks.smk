"""Masks of cells that never were: the annotation of the synthetic images.

They are simulated, or made from segmented images, as masks.source says.
"""


rule fit_simulation:
    """Fit the numbers of the simulation to the roughly segmented training images."""
    input:
        rough="results/{organism}/rough/labels",
        manifest="results/{organism}/manifest.csv",
    output:
        fit="results/{organism}/masks/fit.json",
    log:
        "results/{organism}/logs/fit_simulation.log",
    benchmark:
        "results/{organism}/benchmarks/fit_simulation.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        simulator=setting("simulation", "simulator"),
        cell_diameter=setting("cell_diameter"),
    script:
        "../scripts/fit_simulation.py"


rule simulate_masks:
    """Simulate the instance masks of a batch of volumes."""
    input:
        manifest="results/{organism}/manifest.csv",
        fit=fitted,
    output:
        masks=directory("results/{organism}/masks/{batch}"),
        census="results/{organism}/masks/{batch}.json",
    log:
        "results/{organism}/logs/simulate_masks.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/simulate_masks.{batch}.tsv"
    wildcard_constraints:
        organism=any_of(set(ORGANISMS) - SEGMENTED),
    # one job with draw_sketches on a cluster
    group:
        "masks"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=volume_memory(4000, 16),
        runtime=growing(60),
    params:
        simulator=setting("simulation", "simulator"),
        settings=lambda wildcards: simulation_settings(ORGANISMS[wildcards.organism]),
        cell_diameter=setting("cell_diameter"),
        volume_shape=setting("volume_shape"),
        volume_format=setting("volume_format"),
        volumes=batch_volumes,
        seed=SETTINGS["seed"],
    script:
        "../scripts/simulate_masks.py"


rule collect_labels:
    """Collect the segmented images that masks are made from, each cleaned."""
    input:
        unpack(segmented_images),
        manifest="results/{organism}/manifest.csv",
    output:
        labels=directory("results/{organism}/segmented"),
    log:
        "results/{organism}/logs/collect_labels.log",
    benchmark:
        "results/{organism}/benchmarks/collect_labels.tsv"
    wildcard_constraints:
        organism=any_of(SEGMENTED),
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        source=setting("masks", "source"),
        files=setting("masks", "labels"),
        labels_are=setting("labels_are"),
        untracked=untracked,
        min_size=setting("masks", "min_size"),
        axes=setting("axes"),
    script:
        "../scripts/collect_labels.py"


rule segment_masks:
    """Make the instance masks of a batch of volumes from segmented images."""
    input:
        labels="results/{organism}/segmented",
        manifest="results/{organism}/manifest.csv",
    output:
        masks=directory("results/{organism}/masks/{batch}"),
    log:
        "results/{organism}/logs/segment_masks.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/segment_masks.{batch}.tsv"
    wildcard_constraints:
        organism=any_of(SEGMENTED),
    # one job with draw_sketches on a cluster
    group:
        "masks"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=volume_memory(4000, 48),
        runtime=growing(60),
    params:
        stain=setting("stain"),
        settings=some_settings("masks", ["shuffle", "elastic", "min_size"]),
        cell_diameter=setting("cell_diameter"),
        volume_shape=setting("volume_shape"),
        volume_format=setting("volume_format"),
        volumes=batch_volumes,
        seed=SETTINGS["seed"],
    script:
        "../scripts/segment_masks.py"
