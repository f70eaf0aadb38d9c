"""From files of any layout to one checked OME-TIFF per image."""


rule prepare_images:
    """Check the images, split them into training and test images, and find the limits that normalise them."""
    input:
        unpack(raw_images),
    output:
        images=directory("results/{organism}/images"),
        labels=directory("results/{organism}/labels"),
        manifest="results/{organism}/manifest.csv",
        groups="results/{organism}/groups.json",
    log:
        "results/{organism}/logs/prepare_images.log",
    benchmark:
        "results/{organism}/benchmarks/prepare_images.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        images=setting("images"),
        labels=setting("labels"),
        labels_are=setting("labels_are"),
        stain=setting("stain"),
        dimensions=setting("dimensions"),
        axes=setting("axes"),
        voxel_size=setting("voxel_size"),
        train_images=setting("train_images"),
        test_images=setting("test_images"),
        percentiles=setting("percentiles"),
        gamma=setting("gamma"),
        min_shape=setting("diffusion", "patch_shape"),
        cell_diameter=diameter_to_check,
        groups=setting("groups"),
        file_warnings=setting("file_warnings"),
        untracked=untracked,
    script:
        "../scripts/prepare_images.py"
