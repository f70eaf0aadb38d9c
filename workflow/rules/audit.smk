"""Does each annotated cell show in its synthetic image, and is each cell annotated that shows there?

Lost cells, which do not show, may be dropped from the training, or redrawn.

To redraw them, drafts of the images are made and audited first; cells that are lost in a draft become brighter.
"""


localrules:
    summarise_audit,
    plot_audit,


rule audit_labels:
    """Measure how each annotated cell shows in its synthetic image, and what shows there without a label."""
    input:
        synthetic=batch_folders("synthetic"),
        masks=batch_folders("masks"),
        manifest="results/{organism}/manifest.csv",
    output:
        cells="results/{organism}/audit/cells.csv",
        images="results/{organism}/audit/images.csv",
    log:
        "results/{organism}/logs/audit_labels.log",
    benchmark:
        "results/{organism}/benchmarks/audit_labels.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=volume_memory(4000, 40),
        runtime=growing(60),
    params:
        stain=setting("stain"),
        min_contrast=setting("audit", "min_contrast"),
    script:
        "../scripts/audit_labels.py"


rule audit_references:
    """Measure how each cell of the reference labels shows in its real image, for comparison."""
    input:
        images="results/{organism}/images",
        labels="results/{organism}/labels",
        manifest="results/{organism}/manifest.csv",
    output:
        cells="results/{organism}/audit/references.csv",
        images="results/{organism}/audit/reference_images.csv",
    log:
        "results/{organism}/logs/audit_references.log",
    benchmark:
        "results/{organism}/benchmarks/audit_references.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        stain=setting("stain"),
        min_contrast=setting("audit", "min_contrast"),
        # labels may be missing in the rim
        border=setting("evaluation", "border"),
    script:
        "../scripts/audit_references.py"


rule summarise_audit:
    """Sum up the audit of synthetic labels, beside that of the references."""
    input:
        synthetic="results/{organism}/audit/cells.csv",
        references="results/{organism}/audit/references.csv",
        synthetic_images="results/{organism}/audit/images.csv",
        reference_images="results/{organism}/audit/reference_images.csv",
    output:
        report(
            "results/{organism}/audit/summary.csv",
            caption="../report/audit.rst",
            category="{organism}",
            labels={"item": FIGURES["audit"]},
        ),
    log:
        "results/{organism}/logs/summarise_audit.log",
    conda:
        "../../envs/compute.yaml"
    script:
        "../scripts/summarise_audit.py"


rule plot_audit:
    """Draw lost cells in an example, and how far boundaries and cells lie from their masks."""
    input:
        synthetic="results/{organism}/synthetic/batch_000",
        masks="results/{organism}/masks/batch_000",
        manifest="results/{organism}/manifest.csv",
        cells="results/{organism}/audit/cells.csv",
        references="results/{organism}/audit/references.csv",
        summary="results/{organism}/audit/summary.csv",
    output:
        report(
            "results/{organism}/figures/audit.png",
            caption="../report/audit.rst",
            category="{organism}",
            labels={"item": FIGURES["audit"]},
        ),
    log:
        "results/{organism}/logs/plot_audit.log",
    benchmark:
        "results/{organism}/benchmarks/plot_audit.tsv"
    conda:
        "../../envs/compute.yaml"
    params:
        min_contrast=setting("audit", "min_contrast"),
    script:
        "../scripts/plot_audit.py"


use rule draw_sketches as draw_drafts with:
    """Draw sketches from which lost cells are found before the sketches that count."""
    output:
        sketches=temp(directory("results/{organism}/drafts/sketches/{batch}")),
    log:
        "results/{organism}/logs/draw_drafts.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/draw_drafts.{batch}.tsv"
    wildcard_constraints:
        organism=any_of(REDRAWN),


use rule generate_volumes as generate_drafts with:
    """Turn the draft sketches of a batch into images."""
    input:
        sketches="results/{organism}/drafts/sketches/{batch}",
        manifest="results/{organism}/manifest.csv",
        model=diffusion_model,
        choice=choice_for("generation", "t_start"),
    output:
        synthetic=temp(directory("results/{organism}/drafts/synthetic/{batch}")),
    log:
        "results/{organism}/logs/generate_drafts.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/generate_drafts.{batch}.tsv"
    wildcard_constraints:
        organism=any_of(REDRAWN),


use rule audit_labels as audit_drafts with:
    """Measure how each annotated cell shows in its draft."""
    input:
        synthetic=["results/{organism}/drafts/synthetic/{batch}"],
        masks=["results/{organism}/masks/{batch}"],
        manifest="results/{organism}/manifest.csv",
    output:
        cells="results/{organism}/audit/drafts/{batch}.csv",
        images=temp("results/{organism}/audit/drafts/{batch}.images.csv"),
    log:
        "results/{organism}/logs/audit_drafts.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/audit_drafts.{batch}.tsv"
    # one job with redraw_sketches on a cluster
    group:
        "drafts"


use rule draw_sketches as redraw_sketches with:
    """Draw sketches in which the cells that were lost in the drafts are brighter."""
    input:
        haze=measured_haze,
        masks="results/{organism}/masks/{batch}",
        manifest="results/{organism}/manifest.csv",
        cells="results/{organism}/rough/cells.csv",
        depth="results/{organism}/rough/depth.json",
        choice=choice_for("sketch", "sigma"),
        audit="results/{organism}/audit/drafts/{batch}.csv",
    log:
        "results/{organism}/logs/redraw_sketches.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/redraw_sketches.{batch}.tsv"
    wildcard_constraints:
        organism=any_of(REDRAWN),
    group:
        "drafts"
