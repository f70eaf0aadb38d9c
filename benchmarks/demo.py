"""Gather the cost and the scores of a finished run in one JSON file.

    python benchmarks/demo.py results/hela benchmarks/demo-hela.json

Seconds and peak memory are those of the summary, which Snakemake measured for each job. The seconds of all jobs of a
rule are added up; its memory is that of its largest job. The minutes are those from the start of the first job to the
report, so they mean something only if all was run at once.
"""

import argparse
import json
import os
import platform
from datetime import datetime
from pathlib import Path

COSTS = {"seconds": "seconds", "peak_mib": "peak_memory_mb", "jobs": "jobs"}


def measure_minutes(results: Path) -> float:
    """Minutes from the start of the first job, which is in the first line of its log, to the report."""
    lines = [path.read_text(encoding="utf-8").split("\n", 1)[0] for path in (results / "logs").glob("*.log")]
    first = min(datetime.fromisoformat(line.split()[1]).timestamp() for line in lines if line.startswith("# "))
    return ((results / "report.html").stat().st_mtime - first) / 60


def main() -> None:
    """Read the arguments, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, help="folder of one organism, such as results/hela")
    parser.add_argument("output", type=Path, help="JSON file to write")
    arguments = parser.parse_args()
    summary = json.loads((arguments.results / "evaluation/summary.json").read_text(encoding="utf-8"))
    tables = {name: summary.pop(key) for name, key in COSTS.items()}
    summary |= {
        "rules": {rule: {name: table[rule] for name, table in tables.items()} for rule in tables["seconds"]},
        "minutes": round(measure_minutes(arguments.results), 1),
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
    }
    arguments.output.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
