# Installs the libraries of BUILD_DIR into PREFIX, emptied first: no header of yesterday helps.
file(REMOVE_RECURSE ${PREFIX})
execute_process(
  COMMAND ${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${PREFIX} --component development
  COMMAND_ERROR_IS_FATAL ANY)
