# cpack -G DEB: vorrang (the gateway as a service) and vorrang-dev (the libraries). `./dev package`.
#
# `install()` knows what belongs below any prefix; what makes a Debian package of it (the unit,
# /etc, documents, packed pages) is added by stage_package.cmake to CPack's own copy.
if(NOT TARGET vorrang)
  return()
endif()

set(VORRANG_PACKAGE_CONTACT "Vorrang maintainers <maintainers@vorrang.invalid>" CACHE STRING
    "Maintainer of the Debian packages")

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME vorrang)
set(CPACK_PACKAGE_VENDOR Vorrang)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "") # each package has its own, as the first line
set(CPACK_PACKAGE_CONTACT ${VORRANG_PACKAGE_CONTACT})
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_SOURCE_DIR}/build/package)
set(CPACK_COMPONENTS_ALL gateway development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/stage_package.cmake)
set(CPACK_VORRANG_SOURCE_DIR ${PROJECT_SOURCE_DIR})

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_GATEWAY_PACKAGE_NAME vorrang)
set(CPACK_DEBIAN_GATEWAY_PACKAGE_SECTION net)
set(CPACK_DEBIAN_GATEWAY_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_GATEWAY_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_GATEWAY_PACKAGE_SUGGESTS "redis-server, prometheus")
set(CPACK_DEBIAN_GATEWAY_DESCRIPTION
"gateway in front of LLM APIs that decides who goes next
When more requests arrive than the models behind it may take, Vorrang decides
who goes next, by priority and in order, without ever breaking a limit. It
speaks the OpenAI HTTP API and reads LiteLLM's config.yaml.")
set(CPACK_DEBIAN_GATEWAY_PACKAGE_CONTROL_EXTRA
    ${PROJECT_SOURCE_DIR}/deploy/debian/postinst
    ${PROJECT_SOURCE_DIR}/deploy/debian/prerm
    ${PROJECT_SOURCE_DIR}/deploy/debian/postrm
    ${PROJECT_SOURCE_DIR}/deploy/debian/conffiles)

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME vorrang-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# What vorrang-config.cmake asks for. The Boost of this build: its headers are in our libraries.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
"libcaf-dev (>= 0.17.6), nlohmann-json3-dev (>= 3.11), libyaml-cpp-dev, \
libboost${Boost_VERSION_MAJOR}.${Boost_VERSION_MINOR}-dev, libssl-dev, libhiredis-dev, \
libspdlog-dev, pkgconf | pkg-config")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
"Vorrang's engine and router as C++ libraries
The waiting lines, limits and choices of the gateway Vorrang for programs of
your own: vorrang::engine (threads, callbacks, CAF actors) and vorrang::router
(calls to LLM APIs without a port), static, with headers and CMake files.")

include(CPack)
