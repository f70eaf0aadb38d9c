from sketchscope.jobs import at_most_every, job

PROGRESS_SECONDS = 20


def main(snakemake):
    import torch
    from sketchscope import devices, files, generate, manifest, noise, schedule, training

    settings = snakemake.params.settings
    device = devices.choose_device(snakemake.params.device)
    torch.set_num_threads(snakemake.threads)
    rows = manifest.training_rows(manifest.read_manifest(snakemake.input.manifest))
    low, high = manifest.typical_limits(rows)
    network, description = training.load_model(snakemake.input.model)
    network.to(device)
    alpha_bar = schedule.cosine_alpha_bar(description["timesteps"])
    steps = schedule.respace(alpha_bar, settings["t_start"], settings["steps"])
    organism = noise.stable_key(snakemake.wildcards.organism)
    with files.atomic_folder(snakemake.output.synthetic) as folder:
        for volume, path in files.image_files(snakemake.input.sketches).items():
            image = generate.generate_volume(
                network,
                files.read_image(path),
                steps,
                key=[snakemake.params.seed, organism, snakemake.params.volumes[volume]],
                device=device,
                report=at_most_every(PROGRESS_SECONDS, lambda t, volume=volume: print(f"{volume}: now at t = {t}")),
                dtype=devices.choose_precision("auto", device),
                **{key: settings[key] for key in ("tile_shape", "overlap", "batch_size", "sampler", "eta")},
            )
            image = manifest.denormalise(image, low, high, rows[0].dtype, rows[0].gamma)
            files.write_image(folder / f"{volume}.ome.tif", image, rows[0].voxel_size)
            print(f"{volume}: {image.shape}, {steps.timesteps.size} steps from t = {settings['t_start']}")


with job(snakemake.log[0], device=snakemake.params.device, seed=snakemake.params.seed):
    main(snakemake)
