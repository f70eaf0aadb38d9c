"""Sum up the audit of synthetic labels, beside that of the references."""

from sketchscope.run.job import job


def main(snakemake):
    import pandas as pd
    from sketchscope.evaluation import audit
    from sketchscope.io.atomic import atomic_path

    inputs = snakemake.input
    pairs = {
        "synthetic": (inputs.synthetic, inputs.synthetic_images),
        "references": (inputs.references, inputs.reference_images),
    }
    found = {labels: audit.summarise_audit(*map(pd.read_csv, tables)) for labels, tables in pairs.items()}
    found["synthetic"]["warnings"] = audit.name_faults(found["synthetic"], found["references"])
    table = pd.DataFrame(
        {"labels": labels, **figures, "warnings": "; ".join(figures["warnings"])} for labels, figures in found.items()
    )
    with atomic_path(snakemake.output[0]) as temporary:
        table.to_csv(temporary, index=False)
    print(table.to_string(index=False))


with job(snakemake.log[0]):
    main(snakemake)
