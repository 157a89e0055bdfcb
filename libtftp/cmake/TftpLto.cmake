# Link-time optimisation of the programs: a block passes through four layers, and takes a
# quarter fewer instructions when they are compiled as one. The libraries hold ordinary code beside what
# this needs, so that whoever links them decides; a shared library gains nothing.

# g++ would do it for every program that links these libraries, unasked: up to 14 s for
# each test.
if(TFTP_LTO AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_link_options(-fno-lto)
endif()

# tftp_lto(TARGET): for a static library of the data path, and for a program.
function(tftp_lto target)
    if(TFTP_LTO
       AND CMAKE_BUILD_TYPE STREQUAL "Release"
       AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU"
       AND NOT BUILD_SHARED_LIBS
       AND NOT TFTP_SANITIZE
    )
        target_compile_options(${target} PRIVATE -flto=auto -ffat-lto-objects)
        get_target_property(type ${target} TYPE)
        if(type STREQUAL "EXECUTABLE")
            # -fno-lto wins wherever it stands.
            get_target_property(options ${target} LINK_OPTIONS)
            list(REMOVE_ITEM options -fno-lto)
            set_target_properties(${target} PROPERTIES LINK_OPTIONS "${options}")
            target_link_options(${target} PRIVATE -flto=auto)
        endif()
    endif()
endfunction()
