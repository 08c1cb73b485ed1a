# Everything of others, as SYSTEM, from the distribution.
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(spdlog REQUIRED)
find_package(PkgConfig REQUIRED)

# The tsan preset names a CAF built with the same sanitizer; see scripts/caf-tsan.
set(VORRANG_CAF_ROOT "" CACHE PATH "A CAF core to use instead of the system's")
if(VORRANG_CAF_ROOT)
  set(CAF_ROOT ${VORRANG_CAF_ROOT})
endif()
find_package(CAF 0.17.6 REQUIRED)
add_library(vorrang_caf ALIAS CAF::core)
