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
        -Wold-style-cast
        -Wnon-virtual-dtor
        -Woverloaded-virtual
        -Wnull-dereference
        -Wimplicit-fallthrough
        $<$<BOOL:${TFTP_WERROR}>:-Werror>
)
