#!/usr/bin/env bash
# Installs Chromium from Debian's packages where it is missing.
set -euo pipefail
command -v chromium > /dev/null && exit
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "Error: make test-browser needs chromium; to install it it must run as root on Debian" >&2
    exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get install --yes --quiet --no-install-recommends chromium || {
    apt-get update --quiet
    apt-get install --yes --quiet --no-install-recommends chromium
}
