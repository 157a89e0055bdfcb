#!/usr/bin/env bash
# The core does no I/O, reads no clock, starts no thread and allocates nothing: looks at what its
# machine code refers to.
# usage: core_symbols.sh LIBTFTP_CORE_A
#
# Left out: assert.cpp, which says why the process ends; error.cpp, whose category::message() returns
# a std::string; and the inline functions of Boost.System, which the compiler puts into every object
# for the same reason.
set -euo pipefail

archive=$1
forbidden='operator (new|delete)|malloc|calloc|realloc|free|aligned_alloc|posix_memalign'
forbidden+='|socket|bind|connect|listen|accept4?|poll|ppoll|select|epoll_[a-z0-9_]+'
forbidden+='|send(to|m?msg)?|recv(from|m?msg)?'
forbidden+='|f?open(at)?(64)?|p?(read|write)v?[0-9]*(64)?|close|f?stat(64)?|mmap(64)?|ioctl'
forbidden+='|[fs]?n?printf|puts|fputs|fwrite|syslog|(secure_)?getenv'
forbidden+='|time|clock|clock_gettime|gettimeofday|nanosleep|clock_nanosleep|std::chrono::.*::now'
forbidden+='|pthread_[a-z_]+|std::thread.*|std::random_device.*|getrandom|rand|random'

code=$(objdump --disassemble --reloc --demangle "$archive")
references=$(awk '
    /^[^ ]+\.o: +file format/ { object = $1; sub(/:$/, "", object) }
    /^[0-9a-f]+ <.*>:$/ { from = $0; sub(/^[0-9a-f]+ </, "", from); sub(/>:$/, "", from) }
    /^[ \t]+[0-9a-f]+: R_[A-Z0-9_]+/ {
        to = $0
        sub(/^[ \t]+[0-9a-f]+: R_[A-Z0-9_]+[ \t]+/, "", to)
        sub(/[-+]0x[0-9a-f]+$/, "", to)
        if (to ~ /^__.*_chk$/) { gsub(/^__|_chk$/, "", to) }  # _FORTIFY_SOURCE
        if (object != "assert.cpp.o" && object != "error.cpp.o" && from !~ /^(void |[a-z ]*)?boost::/) print object ": " from " -> " to
    }' <<<"$code")
if [[ -z $references ]]; then
    echo "core_symbols: no code found in $archive" >&2
    exit 2
fi
if found=$(grep -E -- " -> ($forbidden)(\[?\(.*|\[\].*|@.*)?$" <<<"$references" | sort -u); then
    echo "The core must not use these:" >&2
    echo "$found" >&2
    exit 1
fi
