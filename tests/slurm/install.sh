#!/usr/bin/env bash
# Installs SLURM and munge from Debian's or Ubuntu's packages where they are missing.
set -euo pipefail
programs=(slurmctld slurmd sbatch munged)
command -v "${programs[@]}" > /dev/null && [ "$(command -v "${programs[@]}" | wc -l)" = ${#programs[@]} ] && exit
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "Error: make test-slurm needs ${programs[*]}; to install them it must run as root on Debian or Ubuntu" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
packages=(slurmctld slurmd slurm-client munge)
apt-get install --yes --quiet --no-install-recommends "${packages[@]}" || {
    apt-get update --quiet
    apt-get install --yes --quiet --no-install-recommends "${packages[@]}"
}
