#!/bin/bash
# Builds the program that is shipped, told by a profile which ways through it are gone most (what that gains: README.md):
#
#   benches/pgo.sh [CARGO ARGUMENT...]          # such as --no-default-features
#
# It is built twice, and reads generated logs in between. Needs `rustup component add llvm-tools`.
set -euo pipefail
cd "$(dirname "$0")/.."
profdata=$(find "$(rustc --print sysroot)" -name 'llvm-profdata*' -print -quit)
if [ -z "$profdata" ]; then
    echo 'pgo.sh: no llvm-profdata: rustup component add llvm-tools' >&2
    exit 2
fi
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
export CARGO_TARGET_DIR=target/pgo

# Cargo keeps the two builds apart by their flags; profiles of the same place would make it build anew each time all the same.
export RUSTFLAGS="-Cprofile-generate=$room/raw"
cargo build --profile dist --bin logscan "$@"
generate() { # FILE OPTION...
    LLVM_PROFILE_FILE=/dev/null cargo bench --profile dist --bench generate "${@:2}" --out "$room/$1" --truth "$room/truth"
}
generate text.log "$@" -- --bytes 60000000 --format istio-1.9 --pods 60 --services 20
generate stern.log "$@" -- --bytes 60000000 --format istio-1.9 --envelope stern
generate json.log "$@" -- --bytes 60000000 --format istio-json
for log in "$room"/*.log; do
    for threads in 1 2; do
        "$CARGO_TARGET_DIR/dist/logscan" --threads "$threads" --output json "$log" >"$room/report"
    done
done
"$profdata" merge -o "$room/profile" "$room/raw"

export RUSTFLAGS="-Cprofile-use=$room/profile"
cargo build --profile dist --bin logscan "$@"
echo "$CARGO_TARGET_DIR/dist/logscan"
