"""Segmentation: Cellpose trained on the synthetic images alone, and the models that it is compared with."""


rule train_cellpose:
    """Train Cellpose on the synthetic images and their masks alone."""
    input:
        synthetic=batch_folders("synthetic"),
        masks=batch_folders("masks"),
        lost=lost_cells,
        manifest="results/{organism}/manifest.csv",
    output:
        model="results/{organism}/cellpose/{training}/model",
        losses="results/{organism}/cellpose/{training}/losses.csv",
    log:
        "results/{organism}/logs/train_cellpose.{training}.log",
    benchmark:
        "results/{organism}/benchmarks/train_cellpose.{training}.tsv"
    conda:
        "../../envs/cellpose.yaml"
    threads: 8
    resources:
        gpu=GPUS,
        mem_mb=growing(24000),
        runtime=growing(720),
        device=SETTINGS["device"],
    params:
        settings=other_settings("cellpose", [*SEGMENTATION, "replicates"]),
        cell_diameter=setting("cell_diameter"),
        stitched=is_stitched,
        seed=training_seed,
    script:
        "../scripts/train_cellpose.py"


rule segment_images:
    """Segment the test images with a model that was trained here."""
    input:
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
        model="results/{organism}/cellpose/{training}/model",
    output:
        predictions=directory("results/{organism}/predictions/{training}"),
    log:
        "results/{organism}/logs/segment_images.{training}.log",
    benchmark:
        "results/{organism}/benchmarks/segment_images.{training}.tsv"
    conda:
        "../../envs/cellpose.yaml"
    threads: 8
    resources:
        gpu=GPUS,
        mem_mb=growing(24000),
        runtime=growing(240),
        device=SETTINGS["device"],
    params:
        settings=some_settings("cellpose", SEGMENTATION),
        cell_diameter=setting("cell_diameter"),
        diam_mean=None,
        split="test",
        seed=SETTINGS["seed"],
    script:
        "../scripts/segment_images.py"


use rule segment_images as segment_published with:
    """Segment the test images with a published model."""
    input:
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
        weights=f"{DOWNLOADS}/models/{{published}}.json",
    output:
        predictions=directory("results/{organism}/predictions/{published}"),
    log:
        "results/{organism}/logs/segment_published.{published}.log",
    benchmark:
        "results/{organism}/benchmarks/segment_published.{published}.tsv"
    params:
        settings=some_settings("cellpose", SEGMENTATION),
        cell_diameter=setting("cell_diameter"),
        diam_mean=lambda wildcards: SOURCES["models"][wildcards.published]["diam_mean"],
        split="test",
        seed=SETTINGS["seed"],


use rule segment_images as segment_training with:
    """Segment the training images with a Cellpose model, for masks made from them."""
    input:
        unpack(masks_model),
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
    output:
        predictions=directory("results/{organism}/segmented_cellpose"),
    log:
        "results/{organism}/logs/segment_training.log",
    benchmark:
        "results/{organism}/benchmarks/segment_training.tsv"
    params:
        settings=some_settings("cellpose", SEGMENTATION),
        cell_diameter=setting("cell_diameter"),
        diam_mean=lambda wildcards: SOURCES["models"]
        .get(ORGANISMS[wildcards.organism]["masks"]["model"], {})
        .get("diam_mean"),
        split="train",
        seed=SETTINGS["seed"],


use rule segment_rough as segment_classical with:
    """Segment the test images without a trained model."""
    output:
        predictions=directory("results/{organism}/predictions/classical"),
    log:
        "results/{organism}/logs/segment_classical.log",
    benchmark:
        "results/{organism}/benchmarks/segment_classical.tsv"
    params:
        split="test",
        stain=setting("stain"),
        settings=setting("classical"),
        cell_diameter=setting("cell_diameter"),
