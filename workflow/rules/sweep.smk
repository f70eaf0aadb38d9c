"""Where generation starts and how much sketches are blurred: scores over a grid, on sketches of real images.

The grid has one point where both are set; then the scores say how good these are.
"""


localrules:
    choose_start,
    plot_sweep,


rule sweep_start:
    """Score a grid of starts and blurs on sketches of real images."""
    input:
        unpack(sweep_masks),
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
        cells="results/{organism}/rough/cells.csv",
        depth="results/{organism}/rough/depth.json",
        model=diffusion_model,
    output:
        scores="results/{organism}/sweep/scores.csv",
        draws="results/{organism}/sweep/draws.npz",
        examples="results/{organism}/sweep/examples.npz",
    log:
        "results/{organism}/logs/sweep_start.log",
    benchmark:
        "results/{organism}/benchmarks/sweep_start.tsv"
    conda:
        "../../envs/compute.yaml"
    threads: 8
    resources:
        gpu=GPUS,
        mem_mb=growing(16000),
        runtime=growing(240),
        # these change no score, so they trigger nothing
        device=SETTINGS["device"],
        batch_size=tiles_together,
    params:
        t_starts=grid("generation", "t_start"),
        sigmas=grid("sketch", "sigma"),
        images=setting("sweep", "images"),
        masks=setting("sweep", "masks"),
        labels_are=setting("labels_are"),
        axes=setting("axes"),
        sampler=some_settings("generation", ["sampler", "steps", "eta", "clip"]),
        tiles=some_settings("generation", ["tile_shape", "overlap"]),
        sketch=sweep_sketch,
        stain=setting("stain"),
        cell_diameter=setting("cell_diameter"),
        seed=SETTINGS["seed"],
    script:
        "../scripts/sweep_start.py"


rule choose_start:
    """Choose the start and the blur by their scores."""
    input:
        scores="results/{organism}/sweep/scores.csv",
        draws="results/{organism}/sweep/draws.npz",
    output:
        choice=report(
            "results/{organism}/sweep/choice.json",
            caption="../report/sweep.rst",
            category="{organism}",
            labels={"item": FIGURES["sweep"]},
        ),
    log:
        "results/{organism}/logs/choose_start.log",
    conda:
        "../../envs/compute.yaml"
    params:
        limits=some_settings("sweep", ["max_divergence", "max_spectrum", "max_lost"]),
        t_start=setting("generation", "t_start"),
        sigma=setting("sketch", "sigma"),
    script:
        "../scripts/choose_start.py"


rule plot_sweep:
    """Draw the scores of the sweep and examples of its images."""
    input:
        scores="results/{organism}/sweep/scores.csv",
        examples="results/{organism}/sweep/examples.npz",
        choice="results/{organism}/sweep/choice.json",
        manifest="results/{organism}/manifest.csv",
    output:
        report(
            "results/{organism}/figures/sweep.png",
            caption="../report/sweep.rst",
            category="{organism}",
            labels={"item": FIGURES["sweep"]},
        ),
    log:
        "results/{organism}/logs/plot_sweep.log",
    benchmark:
        "results/{organism}/benchmarks/plot_sweep.tsv"
    conda:
        "../../envs/compute.yaml"
    script:
        "../scripts/plot_sweep.py"
