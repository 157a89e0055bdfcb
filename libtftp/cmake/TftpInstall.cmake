# Installs the libraries, their headers, the package configuration and the pkg-config file.
include(CMakePackageConfigHelpers)

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/tftp")

install(TARGETS tftp-core tftp-io tftp-net tftp-c EXPORT tftpTargets)
install(
    DIRECTORY
        "${CMAKE_CURRENT_SOURCE_DIR}/include/"
        "${CMAKE_CURRENT_BINARY_DIR}/include/"
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING
    PATTERN "*.hpp"
    PATTERN "*.h"
)
install(
    EXPORT tftpTargets
    NAMESPACE tftp::
    DESTINATION "${package_dir}"
)

configure_package_config_file(
    "${CMAKE_CURRENT_SOURCE_DIR}/cmake/tftp-config.cmake.in"
    "${CMAKE_CURRENT_BINARY_DIR}/tftp-config.cmake"
    INSTALL_DESTINATION "${package_dir}"
    NO_SET_AND_CHECK_MACRO
)
write_basic_package_version_file(
    "${CMAKE_CURRENT_BINARY_DIR}/tftp-config-version.cmake"
    COMPATIBILITY SameMinorVersion
)
install(
    FILES
        "${CMAKE_CURRENT_BINARY_DIR}/tftp-config.cmake"
        "${CMAKE_CURRENT_BINARY_DIR}/tftp-config-version.cmake"
    DESTINATION "${package_dir}"
)

# Relative to the .pc file itself, so that the installed tree may be moved.
set(pc_dir "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH pc_prefix "${pc_dir}" "${CMAKE_INSTALL_PREFIX}")
file(RELATIVE_PATH pc_libdir "${pc_dir}" "${CMAKE_INSTALL_FULL_LIBDIR}")
file(RELATIVE_PATH pc_includedir "${pc_dir}" "${CMAKE_INSTALL_FULL_INCLUDEDIR}")
foreach(path IN ITEMS pc_prefix pc_libdir pc_includedir)
    string(REGEX REPLACE "/$" "" ${path} "${${path}}")
endforeach()
# Whoever links a static library of the C API links what it is made of, too.
set(pc_c_parts "-ltftp-io -ltftp-core -lstdc++")
if(BUILD_SHARED_LIBS)
    set(pc_c_libs "")
    set(pc_c_private "${pc_c_parts} ")
else()
    set(pc_c_libs " ${pc_c_parts}")
    set(pc_c_private "")
endif()
foreach(name IN ITEMS libtftp libtftp-c)
    configure_file(
        "${CMAKE_CURRENT_SOURCE_DIR}/cmake/${name}.pc.in"
        "${CMAKE_CURRENT_BINARY_DIR}/${name}.pc"
        @ONLY
    )
    install(
        FILES "${CMAKE_CURRENT_BINARY_DIR}/${name}.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
    )
endforeach()
