import os
import sys

from sketchscope.run.job import job, note_stop

SAMPLES, SAMPLE_STEPS = 8, 25


def main(snakemake, device):
    import json
    from pathlib import Path

    import torch
    from sketchscope.diffusion import generate, model_file, patches, schedule, training
    from sketchscope.diffusion.checkpoint import Checkpoint, write_losses
    from sketchscope.images import manifest
    from sketchscope.io.atomic import write_json
    from sketchscope.report import pictures, style
    from sketchscope.run import devices, distributed

    settings, seed = snakemake.params.settings, snakemake.params.seed
    dtype = devices.choose_precision(settings["precision"], device)
    torch.set_num_threads(snakemake.threads)
    torch.manual_seed(seed)
    rows = manifest.training_rows(manifest.read_manifest(snakemake.input.manifest))
    images = [patches.training_image(row, snakemake.input.images, seed) for row in rows]
    shape, voxel_size = settings["patch_shape"], rows[0].voxel_size
    alpha_bar = schedule.cosine_alpha_bar(settings["timesteps"])
    network, average, description = training.build_networks(
        settings["channels"], settings["blocks"], shape, voxel_size, settings["timesteps"]
    )

    def report(losses):
        write_losses(snakemake.output.loss, losses)
        samples = generate.sample_from_noise(
            average, alpha_bar, shape, count=SAMPLES, steps=SAMPLE_STEPS, seed=seed, dtype=dtype
        )
        style.save(pictures.plot_samples(samples, voxel_size), snakemake.output.samples)

    checkpoint = Checkpoint(
        Path(snakemake.output.model).with_name("checkpoint.pt"),
        {"settings": settings, "seed": seed, "manifest": Path(snakemake.input.manifest).read_text()},
    )

    def draw_batch(rng, share):
        batch_size, foreground_fraction = settings["batch_size"], settings["foreground_fraction"]
        return patches.random_patches(images, shape, batch_size, foreground_fraction, rng, share)

    with distributed.join_team(device) as team, note_stop() as stop:
        team.check_batch(settings["batch_size"])
        record = training.train(
            network,
            average,
            draw_batch,
            alpha_bar,
            checkpoint=checkpoint,
            report=report,
            stop=stop,
            team=team,
            seed=seed,
            device=device,
            dtype=dtype,
            **{key: settings[key] for key in training.SETTINGS},
        )
    if team.rank > 0:
        return
    model_file.save_model(snakemake.output.model, average, description)
    write_json(snakemake.output.record, record | {"settings": settings, "device": devices.describe_device(device)})
    checkpoint.path.unlink(missing_ok=True)
    print(json.dumps(record))


def log_file(snakemake):
    """Of several processes, only the first one writes the log."""
    return snakemake.log[0] if os.environ.get("RANK", "0") == "0" else os.devnull


device, gpus, seed = snakemake.params.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
if gpus > 1:
    from sketchscope.run import distributed

    if not distributed.is_launched():
        sys.exit(distributed.launch(sys.argv[0], gpus, snakemake.resources.get("nodes", 1)))
with job(log_file(snakemake), device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
