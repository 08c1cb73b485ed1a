# What every target of ours is built with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

option(VORRANG_BUILD_TESTS "Build the tests" ON)
option(VORRANG_BUILD_BENCH "Build the benchmark harness" ON)
option(VORRANG_BUILD_GATEWAY "Build http/ and the binary" ON)
option(VORRANG_STATIC "The gateway alone, with all but the C library in it (cmake/Static.cmake)" OFF)
if(VORRANG_STATIC)
  set(VORRANG_BUILD_TESTS OFF)
  set(VORRANG_BUILD_BENCH OFF)
endif()
option(VORRANG_WERROR "Warnings are errors" OFF)
set(VORRANG_SANITIZE "" CACHE STRING "Value for -fsanitize=, e.g. address,undefined or thread")

# Linked privately by each target of ours. It is in the export set because static libraries name
# what they link, but carries nothing outside this build.
add_library(vorrang_options INTERFACE)
set(vorrang_warnings -Wall -Wextra -Wshadow -Wconversion -Wno-mismatched-new-delete)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND vorrang_warnings -Wno-restrict) # false for std::string + literal (GCC bug 105651)
endif()
if(VORRANG_SANITIZE MATCHES "thread")
  list(APPEND vorrang_warnings -Wno-tsan) # Asio's fences
endif()
if(VORRANG_WERROR)
  list(APPEND vorrang_warnings -Werror)
endif()
target_compile_options(vorrang_options INTERFACE "$<BUILD_INTERFACE:${vorrang_warnings}>")

if(VORRANG_SANITIZE)
  add_compile_options(-fsanitize=${VORRANG_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${VORRANG_SANITIZE})
endif()

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
# Linking is a good part of a build of many small tests; lld takes a third of ld's time.
find_program(LLD_PROGRAM ld.lld)
if(LLD_PROGRAM)
  add_link_options(-fuse-ld=lld)
endif()
