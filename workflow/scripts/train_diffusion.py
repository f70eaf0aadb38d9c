from sketchscope.jobs import job

SAMPLES, SAMPLE_STEPS = 8, 25


def main(snakemake):
    import json
    from pathlib import Path

    import torch
    from sketchscope import devices, figures, files, generate, manifest, patches, schedule, training

    settings, seed = snakemake.params.settings, snakemake.params.seed
    device = devices.choose_device(snakemake.params.device)
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
        training.write_losses(snakemake.output.loss, losses)
        samples = generate.sample_from_noise(
            average, alpha_bar, shape, count=SAMPLES, steps=SAMPLE_STEPS, seed=seed, dtype=dtype
        )
        figures.save(figures.plot_samples(samples, voxel_size), snakemake.output.samples)

    checkpoint = training.Checkpoint(
        Path(snakemake.output.model).with_name("checkpoint.pt"),
        {"settings": settings, "seed": seed, "manifest": Path(snakemake.input.manifest).read_text()},
    )
    record = training.train(
        network,
        average,
        lambda rng: patches.random_patches(images, shape, settings["batch_size"], settings["foreground_fraction"], rng),
        alpha_bar,
        checkpoint=checkpoint,
        report=report,
        seed=seed,
        device=device,
        dtype=dtype,
        **{key: settings[key] for key in training.SETTINGS},
    )
    training.save_model(snakemake.output.model, average, description)
    files.write_json(snakemake.output.record, record | {"settings": settings, "device": str(device)})
    checkpoint.path.unlink(missing_ok=True)
    print(json.dumps(record))


with job(snakemake.log[0], device=snakemake.params.device, seed=snakemake.params.seed):
    main(snakemake)
