"""The diffusion model learns from the training images to remove noise; no annotation is needed.

With diffusion.condition: sketch it learns to do so beside a sketch of each image.
"""


localrules:
    plot_loss,


rule draw_training_sketches:
    """Draw a sketch of each training image, from its rough segmentation."""
    input:
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
        rough="results/{organism}/rough/labels",
        better=better_masks,
        depth="results/{organism}/rough/depth.json",
    output:
        sketches=directory("results/{organism}/diffusion/sketches"),
    log:
        "results/{organism}/logs/draw_training_sketches.log",
    benchmark:
        "results/{organism}/benchmarks/draw_training_sketches.tsv"
    wildcard_constraints:
        organism=any_of(CONDITIONED),
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(120),
    params:
        stain=setting("stain"),
        settings=plain_sketch,
        cell_diameter=setting("cell_diameter"),
    script:
        "../scripts/draw_training_sketches.py"


rule train_diffusion:
    """Train the diffusion model on the training images."""
    input:
        unpack(training_sketches),
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
    output:
        model="results/{organism}/diffusion/model.safetensors",
        loss="results/{organism}/diffusion/loss.csv",
        samples=report(
            "results/{organism}/diffusion/samples.png",
            caption="../report/samples.rst",
            category="{organism}",
            labels={"item": FIGURES["samples"]},
        ),
        record="results/{organism}/diffusion/training.json",
    log:
        "results/{organism}/logs/train_diffusion.log",
    benchmark:
        "results/{organism}/benchmarks/train_diffusion.tsv"
    conda:
        "../../envs/compute.yaml"
    threads: 8
    resources:
        gpu=GPUS,
        mem_mb=growing(16000),
        runtime=growing(720),
        # two minutes before the time limit, so that the checkpoint is of the last step
        slurm_extra="--signal=TERM@120",
        # these change no weight, so a change trains nothing again
        device=SETTINGS["device"],
        report_every=setting("diffusion", "report_every"),
        checkpoint_seconds=setting("diffusion", "checkpoint_seconds"),
    params:
        settings=other_settings("diffusion", ["report_every", "checkpoint_seconds"]),
        seed=SETTINGS["seed"],
    script:
        "../scripts/train_diffusion.py"


rule plot_loss:
    """Draw the loss of the diffusion model over the training."""
    input:
        loss="results/{organism}/diffusion/loss.csv",
    output:
        report(
            "results/{organism}/figures/loss.png",
            caption="../report/loss.rst",
            category="{organism}",
            labels={"item": FIGURES["loss"]},
        ),
    log:
        "results/{organism}/logs/plot_loss.log",
    benchmark:
        "results/{organism}/benchmarks/plot_loss.tsv"
    conda:
        "../../envs/compute.yaml"
    script:
        "../scripts/plot_loss.py"
