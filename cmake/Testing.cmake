include(CTest)
if(VORRANG_BUILD_TESTS)
  find_package(Catch2 REQUIRED)
  # <catch_main.cpp> holds main() once; suites of both Catch2 majors include "catch.hpp" of tests/.
  include(Catch)
endif()

set(vorrang_test_optimisation -O0)

# For each label a target that builds its tests: a sanitizer build makes only what it runs.
set(vorrang_test_labels unit model engine threads http system install)
foreach(label ${vorrang_test_labels})
  add_custom_target(tests_${label})
endforeach()

# vorrang_test(NAME <name> SOURCES <file>... LIBRARIES <target>... [LABELS <label>...])
# One Catch2 executable, one ctest entry for each test case. The default label is `unit`. In the release build its own
# files are hardly optimised, which halves the time to compile them; what they test is as it is shipped.
#   unit     passive classes, no actor system      engine   actors, mostly in virtual time
#   model    the reference model of the histories, against a toy engine
#   threads  has threads: also runs under tsan     http     real sockets, in one process
#   system   the real binary                       install  the installed package
function(vorrang_test)
  cmake_parse_arguments(T "" "NAME" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  add_executable(${T_NAME} ${T_SOURCES})
  target_link_libraries(${T_NAME} PRIVATE vorrang_options vorrang_test_main ${T_LIBRARIES})
  target_compile_options(${T_NAME} PRIVATE $<$<CONFIG:Release>:${vorrang_test_optimisation}>)
  if(NOT T_LABELS)
    set(T_LABELS unit)
  endif()
  foreach(label ${T_LABELS})
    if(NOT label IN_LIST vorrang_test_labels)
      message(FATAL_ERROR "${T_NAME}: unknown label '${label}'; see cmake/Testing.cmake")
    endif()
    add_dependencies(tests_${label} ${T_NAME})
  endforeach()
  catch_discover_tests(${T_NAME} TEST_PREFIX "${T_NAME}: " PROPERTIES TIMEOUT 300)

  # catch_discover_tests flattens lists, so several labels are set after it has listed the cases.
  set(labels_file ${CMAKE_CURRENT_BINARY_DIR}/${T_NAME}_labels.cmake)
  file(WRITE ${labels_file}
    "foreach(test IN LISTS ${T_NAME}_TESTS)\n"
    "  set_tests_properties(\"\${test}\" PROPERTIES LABELS \"${T_LABELS}\")\n"
    "endforeach()\n")
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${labels_file})
endfunction()
