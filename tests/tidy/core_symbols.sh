#!/usr/bin/env bash
# The core does no I/O, reads no clock, starts no thread and allocates nothing.
# usage: core_symbols.sh LIBTFTP_CORE_A
# error.cpp is left out: error_category::message() returns a std::string.
set -euo pipefail

archive=$1
forbidden='operator (new|delete)|malloc|calloc|realloc|free|aligned_alloc|posix_memalign'
forbidden+='|socket|bind|connect|listen|accept4?|poll|ppoll|select|epoll_[a-z0-9]+'
forbidden+='|send|sendto|sendmsg|sendmmsg|recv|recvfrom|recvmsg|recvmmsg'
forbidden+='|open(at)?(64)?|fopen(64)?|read|write|p?(read|write)v?[0-9]*|close|stat|fstat|mmap(64)?|ioctl'
forbidden+='|f?printf|puts|fputs|fwrite|syslog|getenv|secure_getenv'
forbidden+='|time|clock|clock_gettime|gettimeofday|nanosleep|clock_nanosleep|std::chrono::.*::now'
forbidden+='|pthread_[a-z_]+|std::thread.*|std::random_device.*|getrandom|rand|random'

if ! symbols=$(nm --demangle --undefined-only --print-file-name "$archive"); then
    echo "core_symbols: cannot read $archive" >&2
    exit 2
fi
if found=$(grep -v ':error\.cpp\.o:' <<<"$symbols" |
    grep -E " U ($forbidden)(\[?\(|\[\]|@|$)"); then
    echo "The core must not use these:" >&2
    echo "$found" >&2
    exit 1
fi
