# TFTP_SANITIZE: "address;undefined" or "thread". With "fuzzer-no-link" (clang) beside the former all
# code counts what it executes, and the targets of tests/fuzz are linked with libFuzzer.
# TFTP_COVERAGE: gcov instrumentation.
# TFTP_HARDEN: what a daemon that listens without authentication should be compiled with.
set(TFTP_SANITIZE "" CACHE STRING "Sanitizers, separated by semicolons")
option(TFTP_COVERAGE "Instrument for coverage" OFF)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
    option(TFTP_HARDEN "Hardening flags" ON)
else()
    option(TFTP_HARDEN "Hardening flags" OFF)
endif()

if(TFTP_SANITIZE)
    list(JOIN TFTP_SANITIZE "," sanitizers)
    add_compile_options(-fsanitize=${sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${sanitizers})
    if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang" AND "undefined" IN_LIST TFTP_SANITIZE)
        # clang 14 cannot split a coroutine that carries this check's data in its prologue:
        # "Cannot represent a difference across sections".
        add_compile_options(-fno-sanitize=function)
    endif()
endif()

if(TFTP_COVERAGE)
    add_compile_options(--coverage)
    add_link_options(--coverage)
endif()

if(TFTP_HARDEN)
    set(CMAKE_POSITION_INDEPENDENT_CODE ON)
    add_compile_options(
        -U_FORTIFY_SOURCE
        -D_FORTIFY_SOURCE=3
        -fstack-protector-strong
    )
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|i[3-6]86")
        add_compile_options(-fcf-protection)
    endif()
    add_link_options(-Wl,-z,relro,-z,now $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:-pie>)
endif()
