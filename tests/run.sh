#!/usr/bin/env bash
# The test command: installs what is missing, builds, runs everything, ends with what was skipped.
#
# usage: tests/run.sh            all of it; 40 minutes on two cores, more on slow ones
#        tests/run.sh --quick    no clang-tidy and no sanitizers; at most 15 minutes
#
#   --require-all    fail where something cannot run here, instead of skipping it
#
# Stops at the first stage that fails and says what it ran. Needs Debian 12 with /proc, and root or
# sudo when packages are missing. Everything is built in build/; no service is started.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

quick=false
require_all=false
for option in "$@"; do
    case $option in
    --quick) quick=true ;;
    --require-all) require_all=true ;;
    *)
        sed -n '2,10s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
        exit 2
        ;;
    esac
done

if [[ ! -e /proc/self/status ]]; then
    echo "run.sh: /proc is not mounted (mount -t proc proc /proc)" >&2
    exit 2
fi

jobs=$(nproc)
export CMAKE_BUILD_PARALLEL_LEVEL=$jobs
export CTEST_PARALLEL_LEVEL=2
export CTEST_OUTPUT_ON_FAILURE=1
if command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
if $require_all; then
    export TFTP_REQUIRE_ALL=1 # see tests/support/skip.hpp
fi

# run COMMAND...: shows the command, then runs it.
run() {
    printf '+ %s\n' "$*"
    "$@"
}

# stage NAME COMMAND...: runs one stage; a failure ends the run and names the stage.
stage() {
    local name=$1
    shift
    printf '\n=== %s (%d s so far)\n' "$name" "$SECONDS"
    # Not in an `if`: that would switch `set -e` off inside the stage.
    current=$name
    "$@"
    current=
}

current=
tested=()
skipped_stages=()
on_exit() {
    local status=$?
    if [[ $status != 0 && -n $current ]]; then
        printf '\n=== FAILED: %s (exit code %d); the last line marked + is what ran\n' "$current" "$status" >&2
    fi
    return "$status"
}
trap on_exit EXIT

packages() {
    run tests/packages.sh test
    run tests/interop/fetch_peers.sh build/peers
}

tidy() {
    run tests/tidy/tidy.sh
}

# build PRESET OPTION...
build() {
    local preset=$1
    shift
    run cmake --preset "$preset" "$@"
    run cmake --build --preset "$preset"
}

release_build() {
    build ci -DTFTP_PEERS_DIR="$root/build/peers"
}

# can_sanitize NAME: whether programs of clang 14 with sanitizers run here; remembers NAME otherwise.
# They need the address space as it was before Linux 6.5 (28 random bits of mmap, now up to 32), and
# containers refuse personality(2).
can_sanitize() {
    local bits
    if setarch --addr-no-randomize true 2>/dev/null; then
        without_randomness=(setarch --addr-no-randomize)
        return
    fi
    without_randomness=()
    # Readable for root only.
    bits=$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null) || bits=unknown
    if [[ $bits == unknown ]] || ((bits > 28)); then
        skipped_stages+=("$1: setarch --addr-no-randomize is refused, and vm.mmap_rnd_bits is $bits, not 28")
        return 1
    fi
}

sanitizers() {
    if ! can_sanitize "$1"; then
        echo "skipped: ${skipped_stages[-1]}"
        return
    fi
    build "$2" -DTFTP_WERROR=ON
    run "${without_randomness[@]}" ctest --preset "$2"
    tested+=("build/$2")
    if [[ $2 == asan ]]; then
        run tests/fuzz/run.sh 10 build/asan
    fi
}

clang_tidy() {
    run tests/tidy/clang_tidy.sh build/ci
}

whole_suite() {
    run ctest --preset ci
    tested+=(build/ci)
}

# What could not run on this machine, of each build; the summary of the whole run.
skips() {
    local none=() name
    if $require_all; then
        none=(--none)
    fi
    for name in "${skipped_stages[@]}"; do
        echo "stage skipped: $name"
    done
    run tests/skips.py "${none[@]}" "${tested[@]}"
    if $require_all && ((${#skipped_stages[@]})); then
        return 1
    fi
}

mkdir -p build
stage "packages" packages
stage "tidy and format" tidy
stage "release build" release_build
if ! $quick; then
    stage "clang-tidy" clang_tidy
    name="AddressSanitizer and UndefinedBehaviorSanitizer"
    stage "$name" sanitizers "$name" asan
    # The threads of the library: blocking pool, workers, client.
    stage "ThreadSanitizer" sanitizers ThreadSanitizer tsan
fi
stage "the whole suite" whole_suite
stage "what was skipped" skips
