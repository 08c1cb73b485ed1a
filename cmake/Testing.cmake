include(CTest)
if(VORRANG_BUILD_TESTS)
  find_package(Catch2 REQUIRED)
  # <catch_main.cpp> holds main() once; suites of both Catch2 majors include "catch.hpp" of tests/.
  include(Catch)
endif()

# vorrang_test(NAME <name> SOURCES <file>... LIBRARIES <target>... [LABELS <label>...])
# One Catch2 executable, one ctest entry for each test case.
function(vorrang_test)
  cmake_parse_arguments(T "" "NAME" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${T_NAME} ${T_SOURCES})
  target_link_libraries(${T_NAME} PRIVATE vorrang_options vorrang_test_main ${T_LIBRARIES})
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  catch_discover_tests(${T_NAME} TEST_PREFIX "${T_NAME}: " PROPERTIES LABELS "${T_LABELS}" TIMEOUT 300)
endfunction()
