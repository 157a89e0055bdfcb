#!/usr/bin/env bash
# The one place that names the Debian packages this project needs, and installs those that lack.
#
# usage: tests/packages.sh build   what the library, the programs and the examples need
#        tests/packages.sh test    that, and what tests/run.sh needs
#
# Nothing is installed that is there already, nothing is removed, no service is started: servers
# to test against are unpacked by tests/interop/fetch_peers.sh instead.
# Exit codes: 0 all there, 1 could not install, 2 somebody has to decide.
set -euo pipefail

build_packages=(
    g++ make cmake ninja-build 'pkgconf|pkg-config'
    libboost1.81-dev libboost-program-options1.81-dev libboost-json1.81-dev libboost-context1.81-dev
    libfmt-dev libspdlog-dev libseccomp-dev liburing-dev libedit-dev libssl-dev
)

test_packages=(
    catch2 libbenchmark-dev
    clang clang-tidy clang-format-14 libclang-rt-14-dev llvm binutils
    'g++-mingw-w64-x86-64-posix|g++-mingw-w64-x86-64'
    python3 procps util-linux iproute2 strace valgrind tshark
    # clients to test against
    atftp tftp-hpa curl 'busybox|busybox-static'
)

fail() {
    echo "packages: $1" >&2
    exit "${2:-1}"
}

is_installed() {
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == installed ]]
}

# as_root COMMAND...: runs it as root, without asking where nobody can answer.
as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif [[ -t 0 ]]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=2 \
        -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# missing_of PACKAGE...: prints those that lack; of alternatives a|b the first.
missing_of() {
    local entry package
    for entry in "$@"; do
        for package in ${entry//|/ }; do
            if is_installed "$package"; then
                continue 2
            fi
        done
        echo "${entry%%|*}"
    done
}

# check_plan PLAN PACKAGES: stops when the plan of `apt-get -s` removes something.
check_plan() {
    local removed
    removed=$(awk '$1 == "Remv" {print $2}' <<<"$1" | paste -sd ' ')
    if [[ -n $removed ]]; then
        fail "these installed packages conflict with what is needed: $removed
packages: remove them yourself if you can spare them (apt-get remove $removed), or build in a container; needed: $2" 2
    fi
}

install_packages() {
    local missing=() plan
    mapfile -t missing < <(missing_of "$@")
    if ((${#missing[@]} == 0)); then
        echo "packages: all there"
        return
    fi
    echo "packages: installing ${missing[*]}"
    if [[ $(id -u) != 0 ]] && ! command -v sudo >/dev/null; then
        fail "not root and no sudo; run as root: apt-get install --no-install-recommends ${missing[*]}" 2
    fi

    local install=(--no-install-recommends install "${missing[@]}")
    # Known package lists may be absent or old: refresh them once, and only when they do not do.
    if plan=$(apt-get -s "${install[@]}" 2>/dev/null); then
        check_plan "$plan" "${missing[*]}"
        if apt_get -y "${install[@]}"; then
            return
        fi
    fi
    apt_get update || true
    plan=$(apt-get -s "${install[@]}" 2>&1) ||
        fail "apt-get knows no way to install ${missing[*]} (is the package server reachable? is this Debian 12?):
$plan"
    check_plan "$plan" "${missing[*]}"
    apt_get -y "${install[@]}" || fail "apt-get could not install ${missing[*]}; is the package server reachable?"
}

# ensure_lists PACKAGE: makes sure that apt-get could download it.
ensure_lists() {
    if ! apt-cache show "$1" >/dev/null 2>&1; then
        apt_get update || fail "apt-get update failed; is the package server reachable?"
    fi
}

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    fail "this is no Debian: install the like of ${build_packages[*]} ${test_packages[*]}" 2
fi
case ${1:-} in
build)
    install_packages "${build_packages[@]}"
    ;;
test)
    install_packages "${build_packages[@]}" "${test_packages[@]}"
    ensure_lists atftpd
    ;;
*)
    fail "usage: tests/packages.sh build|test" 2
    ;;
esac
