"""The diffusion model learns from the training images to remove noise; no annotation is needed."""


rule train_diffusion:
    input:
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
        cells="results/{organism}/rough/cells.csv",
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
        "../../envs/diffusion.yaml"
    threads: 8
    resources:
        gpu=GPUS,
        mem_mb=growing(16000),
        runtime=growing(720),
        # two minutes before the time limit, so that the checkpoint is of the last step
        slurm_extra="--signal=TERM@120",
    params:
        settings=setting("diffusion"),
        seed=SETTINGS["seed"],
        device=SETTINGS["device"],
    script:
        "../scripts/train_diffusion.py"
