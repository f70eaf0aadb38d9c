from sketchscope.jobs import at_most_every, job

PROGRESS_SECONDS = 20


def main(snakemake, device):
    import json
    from pathlib import Path

    import torch
    from sketchscope import devices, files, generate, manifest, noise, schedule

    settings, seed, inputs = snakemake.params.settings, snakemake.params.seed, snakemake.input
    torch.set_num_threads(snakemake.threads)
    rows = manifest.training_rows(manifest.read_manifest(inputs.manifest))
    low, high = manifest.typical_limits(rows)
    network, alpha_bar = generate.load_network(inputs.model)
    network.to(device)
    steps = schedule.respace(alpha_bar, settings["t_start"], settings["steps"])
    organism = noise.stable_key(snakemake.wildcards.organism)
    sketches = files.image_files(inputs.sketches)
    sources = [inputs.model, inputs.manifest, *sketches.values()]
    made_from = {"settings": settings, "seed": seed, "volumes": snakemake.params.volumes}
    made_from |= {Path(source).name: files.file_sha256(source) for source in sources}
    with files.resumed_folder(snakemake.output.synthetic, json.dumps(made_from)) as folder:
        for volume, path in sketches.items():
            target = folder / f"{volume}.ome.tif"
            if target.exists():
                print(f"{volume}: finished by an earlier attempt")
                continue
            image = generate.generate_volume(
                network,
                files.read_image(path),
                steps,
                key=[seed, organism, snakemake.params.volumes[volume]],
                device=device,
                report=at_most_every(PROGRESS_SECONDS, lambda t, volume=volume: print(f"{volume}: now at t = {t}")),
                dtype=devices.choose_precision("auto", device),
                **{key: settings[key] for key in ("tile_shape", "overlap", "batch_size", "sampler", "eta")},
            )
            image = manifest.denormalise(image, low, high, rows[0].dtype, rows[0].gamma)
            files.write_image(target, image, rows[0].voxel_size)
            print(f"{volume}: {image.shape}, {steps.timesteps.size} steps from t = {settings['t_start']}")


device, gpus, seed = snakemake.params.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
