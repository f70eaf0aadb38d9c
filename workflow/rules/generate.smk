"""Sketches turned into images: noised up to t_start, then denoised by the diffusion model.

A job makes the images of a batch or, where generation.slab_shape is set, a share of the slabs of a batch.
"""


localrules:
    plot_pairs,


rule generate_volumes:
    """Turn the sketches of a batch into images."""
    input:
        sketches="results/{organism}/sketches/{batch}",
        manifest="results/{organism}/manifest.csv",
        model=diffusion_model,
        choice=choice_for("generation", "t_start"),
    output:
        synthetic=directory("results/{organism}/synthetic/{batch}"),
    log:
        "results/{organism}/logs/generate_volumes.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/generate_volumes.{batch}.tsv"
    wildcard_constraints:
        organism=any_of(set(ORGANISMS) - IN_SLABS),
    conda:
        "../../envs/compute.yaml"
    threads: 8
    resources:
        gpu=GPUS,
        mem_mb=volume_memory(16000, 40),
        runtime=growing(240),
        # these change no result (batch_size only its rounding, in float32 by at most 1e-5), so a change
        # runs nothing again
        device=SETTINGS["device"],
        batch_size=tiles_together,
    params:
        settings=other_settings("generation", [*SLABS, "batch_size"]),
        volumes=batch_volumes,
        seed=SETTINGS["seed"],
    script:
        "../scripts/generate_volumes.py"


rule generate_slabs:
    """Turn one job's share of the slabs of a batch into images."""
    input:
        sketches="results/{organism}/sketches/{batch}",
        model=diffusion_model,
        choice=choice_for("generation", "t_start"),
    output:
        part=temp(directory("results/{organism}/slabs/{batch}/part_{part}")),
    log:
        "results/{organism}/logs/generate_slabs.{batch}.{part}.log",
    benchmark:
        "results/{organism}/benchmarks/generate_slabs.{batch}.{part}.tsv"
    conda:
        "../../envs/compute.yaml"
    threads: 8
    resources:
        gpu=GPUS,
        mem_mb=growing(16000),
        runtime=growing(240),
        # these change no result (batch_size only its rounding, in float32 by at most 1e-5), so a change
        # runs nothing again
        device=SETTINGS["device"],
        batch_size=tiles_together,
    params:
        settings=other_settings("generation", [*SLABS, "batch_size"]),
        slab_shape=setting("generation", "slab_shape"),
        parts=setting("generation", "slab_jobs"),
        volumes=batch_volumes,
        seed=SETTINGS["seed"],
    script:
        "../scripts/generate_slabs.py"


rule join_slabs:
    """Blend the slabs of a batch into whole images."""
    input:
        sketches="results/{organism}/sketches/{batch}",
        manifest="results/{organism}/manifest.csv",
        parts=slab_parts,
    output:
        synthetic=directory("results/{organism}/synthetic/{batch}"),
    log:
        "results/{organism}/logs/join_slabs.{batch}.log",
    benchmark:
        "results/{organism}/benchmarks/join_slabs.{batch}.tsv"
    wildcard_constraints:
        organism=any_of(IN_SLABS),
    conda:
        "../../envs/compute.yaml"
    resources:
        mem_mb=growing(8000),
        runtime=growing(60),
    params:
        slab_shape=setting("generation", "slab_shape"),
        tiles=some_settings("generation", ["tile_shape", "overlap"]),
    script:
        "../scripts/join_slabs.py"


rule plot_pairs:
    """Draw real images beside synthetic ones with their masks and sketches."""
    input:
        images="results/{organism}/images",
        manifest="results/{organism}/manifest.csv",
        masks="results/{organism}/masks/batch_000",
        sketches="results/{organism}/sketches/batch_000",
        synthetic="results/{organism}/synthetic/batch_000",
    output:
        report(
            "results/{organism}/figures/pairs.png",
            caption="../report/pairs.rst",
            category="{organism}",
            labels={"item": FIGURES["pairs"]},
        ),
    log:
        "results/{organism}/logs/plot_pairs.log",
    benchmark:
        "results/{organism}/benchmarks/plot_pairs.tsv"
    conda:
        "../../envs/compute.yaml"
    script:
        "../scripts/plot_pairs.py"
