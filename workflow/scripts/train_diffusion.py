"""Train the diffusion model on the training images."""

import os
import sys

from sketchscope.run.job import job, note_stop

SAMPLES, SAMPLE_STEPS = 8, 25
CHECKS = 4  # strengths of noise at which each example is checked at the end


def main(snakemake, device):
    import json
    from functools import partial
    from pathlib import Path

    import numpy as np
    import torch
    from sketchscope.diffusion import generate, model_file, patches, schedule, training
    from sketchscope.diffusion.checkpoint import Checkpoint, write_losses
    from sketchscope.images import manifest
    from sketchscope.io.atomic import fingerprint_files, write_json
    from sketchscope.report import pictures, style
    from sketchscope.run import devices, distributed
    from sketchscope.streams import stream_key, stream_seed

    settings, seed, output = snakemake.params.settings, snakemake.params.seed, snakemake.output
    inputs, organism = snakemake.input, snakemake.wildcards.organism
    key_of = partial(stream_key, seed, organism)
    dtype = devices.choose_precision(settings["precision"], device)
    torch.set_num_threads(snakemake.threads)
    torch.manual_seed(stream_seed(key_of("weights")))
    rows = manifest.select_training(manifest.read_manifest(inputs.manifest))
    sketches = inputs.get("sketches")
    images = patches.open_training_images(rows, inputs.images, key_of("foreground"), sketches)
    shape, batch_size, voxel_size = settings["patch_shape"], settings["batch_size"], rows[0].voxel_size
    draw_batch = partial(patches.draw_patches, images, shape, batch_size, settings["foreground_fraction"])
    alpha_bar = schedule.cosine_alpha_bar(settings["timesteps"])
    network, average, description = training.build_networks(
        settings["channels"],
        settings["blocks"],
        shape,
        voxel_size,
        settings["timesteps"],
        sees_sketch=sketches is not None,
        prediction=settings["prediction"],
    )
    examples = patches.draw_patches(images, shape, SAMPLES, 1.0, np.random.default_rng(key_of("sample patches")))

    def report(losses):
        write_losses(output.loss, losses)
        samples = generate.sample_from_noise(
            average,
            alpha_bar,
            examples[:, 1:],
            steps=SAMPLE_STEPS,
            key=key_of("samples"),
            dtype=dtype,
        )
        style.save(pictures.plot_samples(samples, voxel_size), output.samples)

    # without what changes no weight (the intervals, the device): an interrupted training goes on after such a change
    made_from = {"settings": settings, "seed": seed, "organism": organism}
    made_from["manifest"] = Path(inputs.manifest).read_text()
    made_from["sketches"] = fingerprint_files(sorted(Path(sketches).iterdir()) if sketches else [])
    checkpoint = Checkpoint(Path(output.model).with_name("checkpoint.pt"), made_from)
    keys = ("steps", "learning_rate", "ema_decay", "gradient_clip")
    with distributed.join_team(device) as team, note_stop() as stop:
        team.check_batch(batch_size)
        record = training.train(
            training.make_trainer(network, average, settings["learning_rate"], device, dtype),
            draw_batch,
            alpha_bar,
            training.TrainingSettings(
                **{key: settings[key] for key in keys}, seed=seed, organism=organism, dtype=dtype
            ),
            intervals=training.Intervals(snakemake.resources.report_every, snakemake.resources.checkpoint_seconds),
            checkpoint=checkpoint,
            report=report,
            stop=stop,
            team=team,
        )
    if team.rank > 0:
        return
    check_patches = torch.from_numpy(np.repeat(examples, CHECKS, 0)).to(device)
    unlearnt = training.measure_unlearnt(average, check_patches, alpha_bar, dtype, stream_seed(key_of("check noise")))
    training.check_learnt(unlearnt, settings["learning_rate"])
    description |= {"steps": record["steps"], "steps_wanted": settings["steps"]}
    several = f", {team.size} processes" if team.size > 1 else ""
    record |= {"device": devices.describe_device(device) + several, "arithmetic": str(dtype).removeprefix("torch.")}
    write_json(output.record, record | {"settings": settings})
    model_file.save_model(output.model, average, description)
    checkpoint.path.unlink(missing_ok=True)
    print(json.dumps(record))


def choose_log(snakemake):
    """Name the log; of several processes, only the first one writes it."""
    return snakemake.log[0] if os.environ.get("RANK", "0") == "0" else os.devnull


device, gpus, seed = snakemake.resources.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
if gpus > 1:
    from sketchscope.run import distributed

    if not distributed.is_launched():
        sys.exit(distributed.launch(sys.argv[0], gpus, snakemake.resources.get("nodes", 1)))
with job(choose_log(snakemake), device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
