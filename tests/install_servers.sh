#!/usr/bin/env bash
# Programs that tests talk to, as Debian packages, where we may install them. Tests of what is not
# there are skipped, and say so.
set -euo pipefail
declare -A PACKAGE_OF=([mosquitto]=mosquitto [mosquitto_sub]=mosquitto-clients)
missing=()
for program in "${!PACKAGE_OF[@]}"; do
    PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || missing+=("${PACKAGE_OF[$program]}")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, so their tests are skipped: ${missing[*]}"
    exit 0
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}")
"${install[@]}" >/dev/null 2>&1 \
    || { apt-get update --quiet=2 >/dev/null 2>&1 && "${install[@]}" >/dev/null 2>&1; } \
    || echo "could not be installed, so their tests are skipped: ${missing[*]}"
