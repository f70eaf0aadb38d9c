"""Annotated microscopy, and a segmentation model, out of images that nobody annotated."""

from snakemake.utils import min_version

min_version("9.0")


configfile: "config.yaml"


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"


container: SETTINGS["container"]


include: "workflow/rules/fetch.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/rough.smk"
include: "workflow/rules/diffusion.smk"
include: "workflow/rules/masks.smk"
include: "workflow/rules/shapes.smk"
include: "workflow/rules/sweep.smk"
include: "workflow/rules/sketch.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/audit.smk"
include: "workflow/rules/cellpose.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        expand("results/{organism}/report.html", organism=ORGANISMS),
        "results/comparison.csv",
        "results/comparison.png",
        "results/contact.png",
