"""Are the cells of the masks as many, as large and as long as the real ones?"""


localrules:
    plot_shapes,


rule compare_shapes:
    """Measure number, size, shape and spacing of the cells in masks and reference labels, and compare them."""
    input:
        masks=batch_folders("masks"),
        labels="results/{organism}/labels",
        manifest="results/{organism}/manifest.csv",
    output:
        cells="results/{organism}/shapes/cells.csv",
        images="results/{organism}/shapes/images.csv",
        comparison=report(
            "results/{organism}/shapes/comparison.csv",
            caption="../report/shapes.rst",
            category="{organism}",
            labels={"item": FIGURES["shapes"]},
        ),
    log:
        "results/{organism}/logs/compare_shapes.log",
    benchmark:
        "results/{organism}/benchmarks/compare_shapes.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=volume_memory(4000, 16),
        runtime=growing(120),
    params:
        cell_diameter=setting("cell_diameter"),
        border=setting("evaluation", "border"),
    script:
        "../scripts/compare_shapes.py"


rule plot_shapes:
    """Draw the distributions of number, size, shape and spacing of synthetic and real cells."""
    input:
        cells="results/{organism}/shapes/cells.csv",
        images="results/{organism}/shapes/images.csv",
        comparison="results/{organism}/shapes/comparison.csv",
    output:
        report(
            "results/{organism}/figures/shapes.png",
            caption="../report/shapes.rst",
            category="{organism}",
            labels={"item": FIGURES["shapes"]},
        ),
    log:
        "results/{organism}/logs/plot_shapes.log",
    benchmark:
        "results/{organism}/benchmarks/plot_shapes.tsv"
    conda:
        "../../envs/compute.yaml"
    script:
        "../scripts/plot_shapes.py"
