# Warnings for our own targets only: link tftp_warnings PRIVATE.
add_library(tftp_warnings INTERFACE)
target_compile_options(
    tftp_warnings
    INTERFACE
        -Wall
        -Wextra
        -Wpedantic
        -Wconversion
        -Wsign-conversion
        -Wshadow
        $<$<COMPILE_LANGUAGE:CXX>:-Wold-style-cast>
        $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
        $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>
        # g++ 12 at -O3 takes pointers of inlined library code for null ones.
        $<$<CXX_COMPILER_ID:Clang>:-Wnull-dereference>
        # Names of the implementation; clang-tidy would look for them in all headers of the system.
        $<$<CXX_COMPILER_ID:Clang>:-Wreserved-identifier>
        -Wimplicit-fallthrough
        # g++ 12 sees such a zero in the frame of each coroutine.
        $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wzero-as-null-pointer-constant>
        # g++ 12 sees overlap in std::string's own operator+ (GCC PR 105651).
        $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
        $<$<BOOL:${TFTP_WERROR}>:-Werror>
)
