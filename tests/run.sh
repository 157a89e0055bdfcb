#!/usr/bin/env bash
# The test command: installs what is missing, builds, runs everything, ends with ctest's summary.
#
# usage: tests/run.sh            all of it; 40 minutes on two cores, more on slow ones
#        tests/run.sh --quick    no clang-tidy and no sanitizers; at most 15 minutes
#
# Stops at the first stage that fails and says what it ran. Needs Debian 12, and root or sudo when
# packages are missing. Everything is built in build/; no service is started.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

quick=false
case ${1:-} in
'') ;;
--quick) quick=true ;;
*)
    sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    exit 2
    ;;
esac

jobs=$(nproc)
export CMAKE_BUILD_PARALLEL_LEVEL=$jobs
export CTEST_PARALLEL_LEVEL=2
export CTEST_OUTPUT_ON_FAILURE=1
if command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
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

# The sanitizers of clang 14 need the address space as it was before Linux 6.5 (mmap_rnd_bits 32).
unrandomised() {
    if setarch --addr-no-randomize true 2>/dev/null; then
        run setarch --addr-no-randomize "$@"
    else
        run "$@"
    fi
}

address_sanitizer() {
    build asan -DTFTP_WERROR=ON
    unrandomised ctest --preset asan
    run tests/fuzz/run.sh 10 build/asan
}

# The threads of the library: blocking pool, workers, client.
thread_sanitizer() {
    build tsan -DTFTP_WERROR=ON
    unrandomised ctest --preset tsan
}

clang_tidy() {
    run tests/tidy/clang_tidy.sh build/ci
}

whole_suite() {
    run ctest --preset ci
}

mkdir -p build
stage "packages" packages
stage "tidy and format" tidy
stage "release build" release_build
if ! $quick; then
    stage "clang-tidy" clang_tidy
    stage "AddressSanitizer and UndefinedBehaviorSanitizer" address_sanitizer
    stage "ThreadSanitizer" thread_sanitizer
fi
stage "the whole suite" whole_suite
