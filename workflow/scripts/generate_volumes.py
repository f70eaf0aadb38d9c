"""Turn the sketches of a batch into images."""

from sketchscope.run.job import job, show_progress


def main(snakemake, device):
    import json

    import torch
    from sketchscope.config.auto import fill_auto
    from sketchscope.diffusion.generate import load_generator
    from sketchscope.diffusion.samplers import read_sampler
    from sketchscope.diffusion.tiling import Tiling
    from sketchscope.images import manifest
    from sketchscope.io.atomic import fingerprint_files, resumed_folder
    from sketchscope.io.images import list_image_files, read_image, write_image
    from sketchscope.streams import stream_key

    seed, inputs = snakemake.params.seed, snakemake.input
    settings = fill_auto(snakemake.params.settings, inputs.choice)
    torch.set_num_threads(snakemake.threads)
    rows = manifest.select_training(manifest.read_manifest(inputs.manifest))
    sampler = read_sampler(settings, settings["t_start"])
    tiling = Tiling(settings["tile_shape"], settings["overlap"], snakemake.resources.batch_size or None)
    generator = load_generator(inputs.model, device, sampler, tiling)
    key = stream_key(seed, snakemake.wildcards.organism, "images")
    sketches = list_image_files(inputs.sketches)
    # without the batch size, which changes nothing but rounding: an interrupted job goes on with another one
    made_from = {"settings": settings, "seed": seed, "volumes": snakemake.params.volumes}
    made_from["files"] = fingerprint_files([inputs.model, inputs.manifest, *sketches.values()])
    with resumed_folder(snakemake.output.synthetic, json.dumps(made_from)) as folder:
        for volume, path in sketches.items():
            target = folder / path.name
            if target.exists():
                print(f"{volume}: finished by an earlier attempt")
                continue
            sketch, own_key = read_image(path), [*key, snakemake.params.volumes[volume]]
            image = generator(sketch, key=own_key, report=show_progress(volume, sketch.size))
            write_image(target, manifest.denormalise_like(image, rows), rows[0].voxel_size)
            print(f"{volume}: {image.shape}, {sampler.name} from t = {sampler.t_start}")


device, gpus, seed = snakemake.resources.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
