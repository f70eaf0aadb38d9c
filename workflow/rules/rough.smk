"""A first look at the cells of the training images, found without training: how bright they are, and how large."""


rule segment_rough:
    """Segment training images without a trained model, for sketches, simulation and sweep."""
    input:
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
    output:
        predictions=directory("results/{organism}/rough/labels"),
    log:
        "results/{organism}/logs/segment_rough.log",
    benchmark:
        "results/{organism}/benchmarks/segment_rough.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        split=rough_images,
        stain=setting("stain"),
        settings=setting("classical"),
        cell_diameter=setting("cell_diameter"),
    script:
        "../scripts/segment_classical.py"


rule measure_haze:
    """Measure the background of the training images outside the cells, which is not flat."""
    input:
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
        rough="results/{organism}/rough/labels",
        depth="results/{organism}/rough/depth.json",
    output:
        haze="results/{organism}/rough/haze.npz",
    log:
        "results/{organism}/logs/measure_haze.log",
    benchmark:
        "results/{organism}/benchmarks/measure_haze.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        stain=setting("stain"),
        settings=plain_sketch,
        cell_diameter=setting("cell_diameter"),
    script:
        "../scripts/measure_haze.py"


rule measure_cells:
    """Measure the brightness of cells or membranes in the training images, and how it fades with depth."""
    input:
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
        rough=rough_labels,
    output:
        cells="results/{organism}/rough/cells.csv",
        depth="results/{organism}/rough/depth.json",
    log:
        "results/{organism}/logs/measure_cells.log",
    benchmark:
        "results/{organism}/benchmarks/measure_cells.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        membrane_um=membrane_um,
        cell_diameter=setting("cell_diameter"),
    script:
        "../scripts/measure_cells.py"
