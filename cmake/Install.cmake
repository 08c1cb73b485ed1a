# cmake --install and find_package(vorrang): vorrang::config, vorrang::engine and, with the gateway,
# vorrang::router; static.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(vorrang_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/vorrang)
# Our includes are written from the project's root ("config/settings.hpp"), so the rooms stand
# below a folder of our own.
set(vorrang_header_dir ${CMAKE_INSTALL_INCLUDEDIR}/vorrang)

set(vorrang_exported)
foreach(room_and_name "config config" "actors engine")
  separate_arguments(room_and_name)
  list(GET room_and_name 0 room)
  list(GET room_and_name 1 name)
  if(NOT TARGET vorrang_${name})
    continue()
  endif()
  set_target_properties(vorrang_${name} PROPERTIES
    EXPORT_NAME ${name}
    INTERFACE_INCLUDE_DIRECTORIES
      "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>;$<INSTALL_INTERFACE:${vorrang_header_dir}>")
  target_compile_features(vorrang_${name} INTERFACE cxx_std_17)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${room}/ DESTINATION ${vorrang_header_dir}/${room}
          COMPONENT development FILES_MATCHING PATTERN "*.hpp"
          PATTERN "settings_reference.hpp" EXCLUDE)
  list(APPEND vorrang_exported vorrang_${name})
endforeach()

# Of http/ only the Router is for others; the libraries below it come along.
if(TARGET vorrang_router)
  foreach(name http_core front loops router)
    set_target_properties(vorrang_${name} PROPERTIES
      EXPORT_NAME ${name}
      INTERFACE_INCLUDE_DIRECTORIES
        "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>;$<INSTALL_INTERFACE:${vorrang_header_dir}>")
    list(APPEND vorrang_exported vorrang_${name})
  endforeach()
  install(FILES
    ${PROJECT_SOURCE_DIR}/http/router.hpp
    ${PROJECT_SOURCE_DIR}/http/router_asio.hpp
    ${PROJECT_SOURCE_DIR}/http/router_options.hpp
    DESTINATION ${vorrang_header_dir}/http COMPONENT development)
endif()

if(TARGET vorrang)
  set_target_properties(vorrang PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
  install(TARGETS vorrang RUNTIME COMPONENT gateway)
  install(FILES ${PROJECT_SOURCE_DIR}/deploy/man/vorrang.1
          DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT gateway)
  # For editors; docs/configuration.md tells the place.
  install(FILES ${PROJECT_SOURCE_DIR}/deploy/schema/vorrang.schema.json
          DESTINATION ${CMAKE_INSTALL_DATADIR}/vorrang COMPONENT gateway)
  # Where each shell looks for those of packages.
  set(vorrang_completion ${PROJECT_SOURCE_DIR}/deploy/completion)
  install(FILES ${vorrang_completion}/vorrang.bash RENAME vorrang
          DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT gateway)
  install(FILES ${vorrang_completion}/_vorrang
          DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions COMPONENT gateway)
  install(FILES ${vorrang_completion}/vorrang.fish
          DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT gateway)
endif()

if(vorrang_exported AND NOT VORRANG_STATIC)
  set_target_properties(vorrang_options PROPERTIES EXPORT_NAME build_options)
  install(TARGETS ${vorrang_exported} vorrang_options EXPORT vorrang
          ARCHIVE COMPONENT development)
  install(EXPORT vorrang NAMESPACE vorrang:: FILE vorrang-targets.cmake
          DESTINATION ${vorrang_package_dir} COMPONENT development)
  configure_package_config_file(
    ${PROJECT_SOURCE_DIR}/cmake/vorrang-config.cmake.in
    ${PROJECT_BINARY_DIR}/vorrang-config.cmake INSTALL_DESTINATION ${vorrang_package_dir})
  write_basic_package_version_file(
    ${PROJECT_BINARY_DIR}/vorrang-config-version.cmake COMPATIBILITY SameMinorVersion)
  install(FILES
    ${PROJECT_BINARY_DIR}/vorrang-config.cmake
    ${PROJECT_BINARY_DIR}/vorrang-config-version.cmake
    ${PROJECT_SOURCE_DIR}/cmake/FindCAF.cmake
    DESTINATION ${vorrang_package_dir} COMPONENT development)
endif()
