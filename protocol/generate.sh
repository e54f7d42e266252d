#!/bin/sh
# Generate the protobuf messages of protocol/proto. `generate.sh --check` only tells whether the
# committed code is what the .proto files give.
set -eu
cd "$(dirname "$0")"
out=swatow_protocol/carriers/grpc/_generated
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python -m grpc_tools.protoc -I proto --python_out="$work" --pyi_out="$work" proto/swatow/v1/*.proto
if [ "${1:-}" = --check ]; then
    for file in "$work"/swatow/v1/*; do
        cmp "$file" "$out/$(basename "$file")" || { echo "run protocol/generate.sh" >&2; exit 1; }
    done
else
    cp "$work"/swatow/v1/* "$out"/
fi
