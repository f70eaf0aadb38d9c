"""How well the models find the cells of the test images, where reference labels exist, and the figures."""


localrules:
    compare_models,
    summarise_organism,
    plot_overlays,
    plot_iou,
    plot_verdict,
    compare_organisms,
    plot_comparison,
    plot_contact,


rule score_segmentation:
    """Score the predictions of one model against the reference labels."""
    input:
        labels="results/{organism}/labels",
        predictions="results/{organism}/predictions/{model}",
        manifest="results/{organism}/manifest.csv",
    output:
        iou="results/{organism}/evaluation/{model}/iou.csv",
        scores="results/{organism}/evaluation/{model}/scores.json",
    log:
        "results/{organism}/logs/score_segmentation.{model}.log",
    benchmark:
        "results/{organism}/benchmarks/score_segmentation.{model}.tsv"
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        thresholds=setting("evaluation", "thresholds"),
        border=setting("evaluation", "border"),
    script:
        "../scripts/score_segmentation.py"


rule compare_models:
    """Compare the trained model with each baseline on the same images."""
    input:
        manifest="results/{organism}/manifest.csv",
        ious=model_files("results/{organism}/evaluation/{model}/iou.csv"),
        scores=model_files("results/{organism}/evaluation/{model}/scores.json"),
    output:
        report(
            "results/{organism}/evaluation/statistics.csv",
            caption="../report/statistics.rst",
            category="{organism}",
            labels={"item": "comparison with the baselines"},
        ),
    log:
        "results/{organism}/logs/compare_models.log",
    benchmark:
        "results/{organism}/benchmarks/compare_models.tsv"
    conda:
        "../../envs/compute.yaml"
    params:
        models=compared_models,
        margin=setting("evaluation", "margin"),
        seed=SETTINGS["seed"],
    script:
        "../scripts/compare_models.py"


rule summarise_organism:
    """Gather scores, verdicts, cost and versions of one organism."""
    input:
        unpack(training_record),
        scores=model_files("results/{organism}/evaluation/{model}/scores.json"),
        replicates=replicates("results/{organism}/evaluation/{model}/scores.json"),
        manifest="results/{organism}/manifest.csv",
        groups="results/{organism}/groups.json",
        statistics="results/{organism}/evaluation/statistics.csv",
        audit="results/{organism}/audit/summary.csv",
        choice="results/{organism}/sweep/choice.json",
        shapes="results/{organism}/shapes/comparison.csv",
        census=mask_census,
        # read by nobody, but they make this the last job, which lists the cost of all others
        figures=figures,
        card="results/{organism}/synthetic/README.md",
    output:
        report(
            "results/{organism}/evaluation/summary.json",
            caption="../report/summary.rst",
            category="{organism}",
            labels={"item": "summary"},
        ),
    log:
        "results/{organism}/logs/summarise_organism.log",
    conda:
        "../../envs/compute.yaml"
    params:
        models=compared_models,
        checkpoint=setting("diffusion", "checkpoint"),
        scale=SETTINGS["scale"],
        benchmarks=lambda wildcards: f"results/{wildcards.organism}/benchmarks",
        logs=lambda wildcards: f"results/{wildcards.organism}/logs",
    script:
        "../scripts/summarise_organism.py"


rule plot_overlays:
    """Draw the outlines that every model predicts on a few test images."""
    input:
        images="results/{organism}/images",
        labels="results/{organism}/labels",
        manifest="results/{organism}/manifest.csv",
        predictions=model_files("results/{organism}/predictions/{model}"),
    output:
        report(
            "results/{organism}/figures/overlays.png",
            caption="../report/overlays.rst",
            category="{organism}",
            labels={"item": FIGURES["overlays"]},
        ),
    log:
        "results/{organism}/logs/plot_overlays.log",
    benchmark:
        "results/{organism}/benchmarks/plot_overlays.tsv"
    conda:
        "../../envs/compute.yaml"
    params:
        models=compared_models,
    script:
        "../scripts/plot_overlays.py"


rule plot_iou:
    """Draw the distribution of the IoU of the cells for every model."""
    input:
        ious=model_files("results/{organism}/evaluation/{model}/iou.csv"),
        scores=model_files("results/{organism}/evaluation/{model}/scores.json"),
    output:
        report(
            "results/{organism}/figures/iou.png",
            caption="../report/iou.rst",
            category="{organism}",
            labels={"item": FIGURES["iou"]},
        ),
    log:
        "results/{organism}/logs/plot_iou.log",
    benchmark:
        "results/{organism}/benchmarks/plot_iou.tsv"
    conda:
        "../../envs/compute.yaml"
    params:
        models=compared_models,
    script:
        "../scripts/plot_iou.py"


rule plot_verdict:
    """Draw how far the trained model is from each baseline, and the verdicts."""
    input:
        "results/{organism}/evaluation/statistics.csv",
    output:
        report(
            "results/{organism}/figures/verdict.png",
            caption="../report/verdict.rst",
            category="{organism}",
            labels={"item": FIGURES["verdict"]},
        ),
    log:
        "results/{organism}/logs/plot_verdict.log",
    benchmark:
        "results/{organism}/benchmarks/plot_verdict.tsv"
    conda:
        "../../envs/compute.yaml"
    script:
        "../scripts/plot_verdict.py"


rule compare_organisms:
    """Gather the comparisons of all organisms, with p-values corrected for their number."""
    input:
        expand("results/{organism}/evaluation/statistics.csv", organism=ORGANISMS),
    output:
        report(
            "results/comparison.csv",
            caption="../report/comparison.rst",
            category="all organisms",
            labels={"item": "comparison with the baselines"},
        ),
    log:
        "results/logs/compare_organisms.log",
    conda:
        "../../envs/compute.yaml"
    script:
        "../scripts/compare_organisms.py"


use rule plot_verdict as plot_comparison with:
    """Draw the verdicts on all organisms."""
    input:
        "results/comparison.csv",
    output:
        report(
            "results/comparison.png",
            caption="../report/comparison.rst",
            category="all organisms",
            labels={"item": "verdict"},
        ),
    log:
        "results/logs/plot_comparison.log",
    benchmark:
        "results/benchmarks/plot_comparison.tsv"


rule plot_contact:
    """Draw a mask, a sketch and a synthetic image of every organism."""
    input:
        manifests=expand("results/{organism}/manifest.csv", organism=ORGANISMS),
        masks=expand("results/{organism}/masks/batch_000", organism=ORGANISMS),
        sketches=expand("results/{organism}/sketches/batch_000", organism=ORGANISMS),
        synthetic=expand("results/{organism}/synthetic/batch_000", organism=ORGANISMS),
    output:
        report(
            "results/contact.png",
            caption="../report/contact.rst",
            category="all organisms",
            labels={"item": "contact sheet"},
        ),
    log:
        "results/logs/plot_contact.log",
    benchmark:
        "results/benchmarks/plot_contact.tsv"
    conda:
        "../../envs/compute.yaml"
    params:
        organisms=list(ORGANISMS),
    script:
        "../scripts/plot_contact.py"
