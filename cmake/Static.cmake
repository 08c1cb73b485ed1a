# VORRANG_STATIC: all in the binary but the C library, which looks up names by modules of the machine
# that it runs on. Debian has OpenSSL, yaml-cpp and hiredis as archives; scripts/static-libraries
# makes the others. Included by Dependencies.cmake in place of what it finds otherwise.
set(vorrang_static_root ${PROJECT_SOURCE_DIR}/build/static-libraries/install)
if(NOT EXISTS ${vorrang_static_root}/include/httplib.h)
  message(FATAL_ERROR "VORRANG_STATIC: run scripts/static-libraries first, or ./dev static")
endif()
set(VORRANG_CAF_ROOT ${vorrang_static_root})
set(OPENSSL_USE_STATIC_LIBS ON)
add_link_options(-static-libstdc++ -static-libgcc)

# vorrang_archive(<target> <file>): an archive of the distribution, or of ours.
function(vorrang_archive target file)
  find_library(${target}_archive ${file} PATHS ${vorrang_static_root}/lib REQUIRED)
  add_library(${target} STATIC IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${${target}_archive})
endfunction()

vorrang_archive(yaml-cpp libyaml-cpp.a)
vorrang_archive(PkgConfig::HIREDIS libhiredis.a)
vorrang_archive(PkgConfig::VORRANG_PROMETHEUS libprometheus-cpp-core.a)
# The whole of it in its header, without compression.
find_package(OpenSSL REQUIRED)
add_library(PkgConfig::VORRANG_HTTPLIB INTERFACE IMPORTED GLOBAL)
target_include_directories(PkgConfig::VORRANG_HTTPLIB SYSTEM INTERFACE ${vorrang_static_root}/include)
target_compile_definitions(PkgConfig::VORRANG_HTTPLIB INTERFACE CPPHTTPLIB_OPENSSL_SUPPORT)
target_link_libraries(PkgConfig::VORRANG_HTTPLIB INTERFACE OpenSSL::SSL OpenSSL::Crypto)
# ncurses comes with what it knows of terminals in a library of its own.
vorrang_archive(vorrang_tinfo libtinfo.a)
vorrang_archive(PkgConfig::VORRANG_NCURSES libncursesw.a)
target_link_libraries(PkgConfig::VORRANG_NCURSES INTERFACE vorrang_tinfo)
find_package(fmt REQUIRED)
add_library(vorrang_spdlog_headers INTERFACE)
target_compile_definitions(vorrang_spdlog_headers INTERFACE SPDLOG_FMT_EXTERNAL)
target_link_libraries(vorrang_spdlog_headers INTERFACE fmt::fmt-header-only Threads::Threads)
set(vorrang_spdlog vorrang_spdlog_headers)
