#!/bin/sh
# fetch_peers.sh DEST: unpacks the servers that the interop tests talk to, and a netboot tree, into DEST.
#
# The packages are downloaded and unpacked, never installed: no service starts, nothing is configured,
# and no root is needed. DEST/usr/sbin and DEST/usr/lib hold the servers with the libraries they need
# (found through LD_LIBRARY_PATH), DEST/netboot the tree. What is there already is skipped.
set -eu

servers="atftpd tftpd-hpa dnsmasq-base python3-fbtftp"
libraries="libwrap0 libtirpc3 libnsl2 libpcre2-8-0 libdbus-1-3 libgmp10 libhogweed6 libidn2-0
    libnetfilter-conntrack3 libnettle8 libnftables1 libnftnl11 libnfnetlink0 libmnl0 libxtables12
    libjansson4 libunistring2"
netboot="pxelinux syslinux-common syslinux-efi"

if [ $# -ne 1 ]; then
    echo "usage: $0 DEST" >&2
    exit 2
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    echo "$0: needs apt-get and dpkg; the interop tests will be skipped" >&2
    exit 1
fi
mkdir -p "$1/packages"
dest=$(cd "$1" && pwd)

# missing PACKAGES: those that were not unpacked yet.
missing() {
    for package in "$@"; do
        if [ ! -e "$dest/packages/$package.unpacked" ]; then
            echo "$package"
        fi
    done
}

# unpack TARGET PACKAGES: unpacks downloaded packages below TARGET and leaves a stamp for each.
unpack() {
    target=$1
    shift
    mkdir -p "$target"
    for package in "$@"; do
        dpkg -x "$dest/packages/$package"_*.deb "$target"
        rm -f "$dest/packages/$package"_*.deb
        : >"$dest/packages/$package.unpacked"
        echo "unpacked $package"
    done
}

# The lists are split into words on purpose.
# shellcheck disable=SC2046,SC2086
{
    new_peers=$(missing $servers $libraries)
    new_netboot=$(missing $netboot)
    if [ -z "$new_peers$new_netboot" ]; then
        exit 0
    fi
    rm -f "$dest/packages/"*.deb
    if ! (cd "$dest/packages" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download \
        $new_peers $new_netboot) >"$dest/packages/log" 2>&1; then
        echo "$0: cannot download packages (no network, or run apt-get update first):" \
            "$(tail -n 1 "$dest/packages/log")" >&2
        exit 1
    fi
    unpack "$dest" $new_peers
    unpack "$dest/netboot" $new_netboot
}
