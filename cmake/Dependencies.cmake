# Everything of others, as SYSTEM, from the distribution.
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(spdlog REQUIRED)
find_package(PkgConfig REQUIRED)

# Debian's libcaf-dev ships neither a CMake nor a pkg-config file.
find_path(CAF_INCLUDE_DIR caf/config.hpp REQUIRED)
find_library(CAF_CORE_LIBRARY caf_core REQUIRED)
add_library(vorrang_caf INTERFACE)
target_include_directories(vorrang_caf SYSTEM INTERFACE ${CAF_INCLUDE_DIR})
target_link_libraries(vorrang_caf INTERFACE ${CAF_CORE_LIBRARY} Threads::Threads)
