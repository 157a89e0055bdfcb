#!/usr/bin/env bash
# Builds and runs the consumers with bare compilers and pkg-config.
# usage: pkg_config.sh CC CXX LIBDIR OUT   (LIBDIR holds pkgconfig/libtftp.pc)
set -euo pipefail

cc=$1
cxx=$2
libdir=$3
out=$4
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

# Without --static: a C program asks for nothing special, whichever kind the libraries are.
read -ra cflags < <(pkg-config --cflags libtftp-c)
read -ra libs < <(pkg-config --libs libtftp-c)
"$cc" -std=c99 -D_POSIX_C_SOURCE=200809L "${cflags[@]}" "$here/uses_c.c" -o "$out/uses_c" "${libs[@]}"
"$out/uses_c"
