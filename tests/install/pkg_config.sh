#!/usr/bin/env bash
# Builds and runs the consumers with a bare compiler and pkg-config.
# usage: pkg_config.sh CXX LIBDIR OUT   (LIBDIR holds pkgconfig/libtftp.pc)
set -euo pipefail

cxx=$1
libdir=$2
out=$3
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

export PKG_CONFIG_PATH=$libdir/pkgconfig
export LD_LIBRARY_PATH=$libdir
mkdir -p "$out"
read -ra cflags < <(pkg-config --static --cflags libtftp)
read -ra libs < <(pkg-config --static --libs libtftp)

for component in core io net; do
    "$cxx" -std=c++20 "${cflags[@]}" "$here/uses_$component.cpp" -o "$out/uses_$component" "${libs[@]}"
    "$out/uses_$component"
done
