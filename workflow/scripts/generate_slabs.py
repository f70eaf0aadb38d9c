"""Turn one job's share of the slabs of a batch into images."""

from sketchscope.run.job import job, show_progress


def main(snakemake, device):
    import json

    import numpy as np
    import torch
    from sketchscope.config.auto import fill_auto
    from sketchscope.diffusion import slabs
    from sketchscope.diffusion.generate import load_generator
    from sketchscope.diffusion.samplers import read_sampler
    from sketchscope.diffusion.tiling import Tiling
    from sketchscope.io.atomic import atomic_path, fingerprint_files, resumed_folder
    from sketchscope.io.images import list_image_files, open_image
    from sketchscope.streams import stream_key

    seed, inputs = snakemake.params.seed, snakemake.input
    settings = fill_auto(snakemake.params.settings, inputs.choice)
    part, parts, slab_shape = int(snakemake.wildcards.part), snakemake.params.parts, snakemake.params.slab_shape
    torch.set_num_threads(snakemake.threads)
    sampler = read_sampler(settings, settings["t_start"])
    tiling = Tiling(settings["tile_shape"], settings["overlap"], snakemake.resources.batch_size or None)
    generator = load_generator(inputs.model, device, sampler, tiling)
    key = stream_key(seed, snakemake.wildcards.organism, "images")
    paths = list_image_files(inputs.sketches)
    sketches = {volume: open_image(path) for volume, path in paths.items()}
    grids = {
        volume: slabs.cut_slabs(sketch.shape, slab_shape, tiling.tile_shape, tiling.overlap)
        for volume, sketch in sketches.items()
    }
    pieces = [(volume, number, slab) for volume, grid in grids.items() for number, slab in enumerate(grid)]
    # without the batch size, which changes nothing but rounding: an interrupted job goes on with another one
    made_from = {"settings": settings, "seed": seed, "volumes": snakemake.params.volumes, "slab_shape": slab_shape}
    made_from |= {"parts": parts, "files": fingerprint_files([inputs.model, *paths.values()])}
    with resumed_folder(snakemake.output.part, json.dumps(made_from)) as folder:
        for volume, number, slab in pieces[part::parts]:
            name = f"{volume}, slab {number + 1} of {len(grids[volume])}"
            target = folder / slabs.name_slab_file(volume, number)
            if target.exists():
                print(f"{name}: finished by an earlier attempt")
                continue
            sketch, origin = sketches[volume][slab.region], [s.start for s in slab.region]
            own_key = [*key, snakemake.params.volumes[volume]]
            image = generator(sketch, key=own_key, origin=origin, report=show_progress(name, sketch.size))
            with atomic_path(target) as temporary, open(temporary, "wb") as handle:
                np.save(handle, image[slabs.localise(slab.inner, slab.region)])
            print(f"{name}: {image.shape} at {origin}")


device, gpus, seed = snakemake.resources.device, snakemake.resources.get("gpu", 0), snakemake.params.seed
with job(snakemake.log[0], device=device, gpus=gpus, seed=seed) as device:
    main(snakemake, device)
