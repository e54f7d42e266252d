#!/usr/bin/env bash
# Servers that tests talk to, as Debian packages, where we may install them. Tests of a server that
# is not there are skipped, and say so.
set -euo pipefail
SERVERS=(mosquitto)
missing=()
for server in "${SERVERS[@]}"; do
    PATH="$PATH:/usr/sbin" command -v "$server" >/dev/null || missing+=("$server")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, so its tests are skipped: ${missing[*]}"
    exit 0
fi
echo "installing ${missing[*]}"
install=(apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}")
export DEBIAN_FRONTEND=noninteractive
"${install[@]}" >/dev/null 2>&1 \
    || { apt-get update --quiet=2 >/dev/null 2>&1 && "${install[@]}" >/dev/null 2>&1; } \
    || echo "could not be installed, so its tests are skipped: ${missing[*]}"
