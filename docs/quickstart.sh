#!/usr/bin/env bash
# Builds the server and the client, serves a real netboot image on the loopback address, fetches it.
#
# usage: docs/quickstart.sh
#
# Installs the build packages that are missing (Debian 12, root or sudo); the image comes out of a package
# that is unpacked, not installed. Afterwards nothing runs; build/ stays.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
bin=$root/build/quickstart/bin
# In /tmp, and readable for all: the server gives up root before it opens a file.
work=$(mktemp -d /tmp/tftp-quickstart.XXXXXX)
chmod 755 "$work"
server=

clean_up() {
    if [[ -n $server ]]; then
        kill "$server" 2>/dev/null || true
        wait "$server" || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT

step() {
    printf '\n== %s\n' "$1"
}

fail() {
    echo "quickstart: $1" >&2
    exit 1
}

# fetch_image PACKAGE FILE: prints the path of FILE after unpacking PACKAGE.
fetch_image() {
    local unpacked=$root/build/netboot/$1
    if [[ ! -e $unpacked/$2 ]]; then
        mkdir -p "$unpacked"
        (cd "$unpacked" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download "$1") >&2 ||
            fail "cannot download $1; is the package server reachable? (apt-get update may help)"
        dpkg -x "$unpacked/$1"_*.deb "$unpacked"
        rm -f "$unpacked/$1"_*.deb
    fi
    echo "$unpacked/$2"
}

# wait_for_address LOG: prints ADDR:PORT from the line that the server writes when it is ready.
wait_for_address() {
    local address
    for _ in {1..100}; do
        address=$(sed -n 's/.*tftpd: serving .* on \([^ ]*:[0-9]*\)$/\1/p' "$1" | head -n 1)
        if [[ -n $address ]]; then
            echo "$address"
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    cat "$1" >&2
    fail "tftpd did not start"
}

step "Packages"
tests/packages.sh build

step "Build"
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}
cmake --preset release -B build/quickstart -DTFTP_BUILD_TESTS=OFF -DTFTP_BUILD_EXAMPLES=OFF >"$work/log" ||
    { cat "$work/log"; fail "cmake failed"; }
cmake --build build/quickstart

step "A netboot image"
case $(dpkg --print-architecture) in
amd64) image=$(fetch_image grub-efi-amd64-bin usr/lib/grub/x86_64-efi/monolithic/grubnetx64.efi) ;;
arm64) image=$(fetch_image grub-efi-arm64-bin usr/lib/grub/arm64-efi/monolithic/grubnetaa64.efi) ;;
*) image=$(fetch_image pxelinux usr/lib/PXELINUX/pxelinux.0) ;;
esac
name=$(basename "$image")
mkdir "$work/boot"
install -m 644 "$image" "$work/boot/$name"
ls -l "$work/boot"

step "Serve it, fetch it"
"$bin/tftpd" --listen 127.0.0.1:0 "$work/boot" >"$work/log" 2>&1 &
server=$!
address=$(wait_for_address "$work/log")
grep 'tftpd: serving' "$work/log"
"$bin/tftp" get "tftp://$address/$name" -o "$work/$name"

step "Compare"
sent=$(sha256sum <"$work/boot/$name")
received=$(sha256sum <"$work/$name")
echo "sent     $sent"
echo "received $received"
[[ $sent == "$received" ]] || fail "the files differ"
echo "The same: $(stat -c %s "$work/$name") bytes."

cat <<EOT

With a folder of your own (port 69 needs root; tftpd gives root up once the port is bound):
    sudo $bin/tftpd /srv/tftp
    $bin/tftp get tftp://127.0.0.1/FILE
EOT
