"""Pair the synthetic images with their masks, list them with checksums, and write a card for the data set."""

from pathlib import Path

from sketchscope.run.job import job


def main(snakemake):
    from sketchscope.config.auto import fill_auto
    from sketchscope.images import manifest
    from sketchscope.io.atomic import write_text
    from sketchscope.report import card, summary, templates

    inputs, outputs, params = snakemake.input, snakemake.output, snakemake.params
    found = [inputs.choice, inputs.depth]
    chosen = {name: fill_auto(params.settings[name], found) for name in ("generation", "sketch")}
    organism, settings = snakemake.wildcards.organism, params.settings | chosen
    training = summary.read_training(inputs.get("training"), settings["diffusion"]["checkpoint"])
    root, rows = Path(outputs.card).parent, manifest.read_manifest(inputs.manifest)
    card.link_folders(inputs.masks, outputs.masks)
    table = card.tabulate_pairs(root)
    images = [*table["file_name"], *table["mask_file_name"]]
    write_text(outputs.table, table[["file_name", "mask_file_name", "cells"]].to_csv(index=False))
    write_text(outputs.checksums, card.list_checksums(root, images))
    facts = card.collect_facts(rows, table)
    values = {
        "front_matter": card.make_front_matter(organism, settings["stain"], facts, params.source),
        "organism": organism,
        "facts": facts,
        "source": params.source,
        "settings": settings,
        "training": templates.describe_training(training),
        "scale": params.scale,
        "seed": params.seed,
        "versions": summary.collect_all_versions(),
        "commands": templates.list_gui_commands(organism, len(facts["axes"])),
    }
    text = templates.fill(inputs.template, values, escape=False)
    write_text(outputs.card, text)
    print(f"{root}: {facts['images']} images with {facts['cells']} cells")


with job(snakemake.log[0]):
    main(snakemake)
