"""Gather what a finished run cost and reached into one JSON file.

    python benchmarks/demo.py results/hela benchmarks/demo-hela.json

Seconds and peak memory are those that Snakemake measured for each job; jobs of one rule are added up, of
their memory the largest counts.
"""

import argparse
import json
import os
import platform
from pathlib import Path

import pandas as pd


def rule_costs(folder: Path) -> dict[str, dict[str, float]]:
    """Seconds, peak memory and number of jobs of each rule, from Snakemake's benchmark files."""
    files = sorted(folder.glob("*.tsv"))
    jobs = pd.concat([pd.read_csv(path, sep="\t").assign(rule=path.name.partition(".")[0]) for path in files])
    jobs["max_rss"] = pd.to_numeric(jobs["max_rss"], errors="coerce")
    costs = jobs.groupby("rule").agg(seconds=("s", "sum"), peak_mib=("max_rss", "max"), jobs=("s", "size"))
    return json.loads(costs.round(1).to_json(orient="index"))


def main() -> None:
    """Read the arguments, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="folder of one organism, such as results/hela")
    parser.add_argument("output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    summary = json.loads((arguments.results / "evaluation/summary.json").read_text(encoding="utf-8"))
    summary |= {
        "rules": rule_costs(arguments.results / "benchmarks"),
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
    }
    del summary["seconds"]
    arguments.output.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
