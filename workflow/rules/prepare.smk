"""From files of any layout to one checked OME-TIFF an image, and a first look at the cells in them."""


rule prepare_images:
    input:
        unpack(raw_images),
    output:
        images=directory("results/{organism}/images"),
        labels=directory("results/{organism}/labels"),
        manifest="results/{organism}/manifest.csv",
    log:
        "results/{organism}/logs/prepare_images.log",
    benchmark:
        "results/{organism}/benchmarks/prepare_images.tsv"
    conda:
        "../../envs/diffusion.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        images=setting("images"),
        labels=setting("labels"),
        dimensions=setting("dimensions"),
        axes=setting("axes"),
        voxel_size=setting("voxel_size"),
        train_images=setting("train_images"),
        test_images=setting("test_images"),
        percentiles=setting("percentiles"),
        gamma=setting("gamma"),
        min_shape=setting("diffusion", "patch_shape"),
    script:
        "../scripts/prepare_images.py"


rule measure_cells:
    input:
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
    output:
        cells="results/{organism}/sketches/cells.csv",
        depth="results/{organism}/sketches/depth.json",
    log:
        "results/{organism}/logs/measure_cells.log",
    benchmark:
        "results/{organism}/benchmarks/measure_cells.tsv"
    conda:
        "../../envs/diffusion.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        stain=setting("stain"),
        settings=setting("classical"),
        membrane_um=setting("sketch", "membrane_um"),
        cell_diameter=setting("cell_diameter"),
    script:
        "../scripts/measure_cells.py"
