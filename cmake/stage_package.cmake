# Run by CPack when `install()` has filled its copy, before a package is made of it (Package.cmake).
set(source ${CPACK_VORRANG_SOURCE_DIR})
set(gateway ${CPACK_TEMPORARY_DIRECTORY}/gateway)
set(development ${CPACK_TEMPORARY_DIRECTORY}/development)
if(NOT EXISTS ${gateway}/usr/bin/vorrang)
  message(FATAL_ERROR "no ${gateway}/usr/bin/vorrang: CPack's layout is another one")
endif()

set(directory_mode OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                   WORLD_READ WORLD_EXECUTE)
set(file_mode OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)

# put(<where> <file or directory>... [RENAME <name>]), with the modes of Debian.
function(put where)
  cmake_parse_arguments(P "" "RENAME" "" ${ARGN})
  file(COPY ${P_UNPARSED_ARGUMENTS} DESTINATION ${where}
       FILE_PERMISSIONS ${file_mode} DIRECTORY_PERMISSIONS ${directory_mode})
  if(P_RENAME)
    cmake_path(GET P_UNPARSED_ARGUMENTS FILENAME name)
    file(RENAME ${where}/${name} ${where}/${P_RENAME})
  endif()
endfunction()

# pack(<file>): without name and time, so that the same sources give the same package.
function(pack file)
  execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# The time of the last change: the caller's, else the last commit's, else now.
set(seconds $ENV{SOURCE_DATE_EPOCH})
if(NOT seconds)
  execute_process(COMMAND git -C ${source} log -1 --format=%ct OUTPUT_VARIABLE seconds
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT seconds)
  string(TIMESTAMP seconds %s UTC)
endif()
execute_process(COMMAND date --utc --rfc-email --date=@${seconds} OUTPUT_VARIABLE date
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

foreach(package_root "vorrang ${gateway}" "vorrang-dev ${development}")
  separate_arguments(package_root)
  list(GET package_root 0 package)
  list(GET package_root 1 root)
  set(documents ${root}/usr/share/doc/${package})
  put(${documents} ${source}/deploy/debian/copyright)
  file(WRITE ${documents}/changelog
"vorrang (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium

  * What is new stands in CHANGELOG.md.gz of the package vorrang.

 -- ${CPACK_PACKAGE_CONTACT}  ${date}
")
  file(CHMOD ${documents}/changelog PERMISSIONS ${file_mode})
  pack(${documents}/changelog)
endforeach()

# The gateway: service, configuration, documents.
put(${gateway}/usr/lib/systemd/system ${source}/deploy/systemd/vorrang.service)
put(${gateway}/etc/vorrang ${source}/deploy/debian/config.yaml)
put(${gateway}/etc/default ${source}/deploy/debian/default RENAME vorrang)
set(documents ${gateway}/usr/share/doc/vorrang)
put(${documents} ${source}/CHANGELOG.md)
pack(${documents}/CHANGELOG.md)
# With the list of them all, docs/README.md, and their pictures.
put(${documents} ${source}/docs/)
file(GLOB configurations ${source}/examples/*.yaml ${source}/examples/*.json)
put(${documents}/examples ${configurations} ${source}/deploy/prometheus ${source}/deploy/grafana
    ${source}/deploy/kubernetes)
file(GLOB_RECURSE manuals ${gateway}/usr/share/man/*.[1-8])
foreach(manual IN LISTS manuals)
  pack(${manual})
endforeach()

# The libraries: their debug information is five times what they are.
file(GLOB_RECURSE archives ${development}/usr/*.a)
foreach(archive IN LISTS archives)
  execute_process(COMMAND strip --strip-debug --enable-deterministic-archives ${archive}
                  COMMAND_ERROR_IS_FATAL ANY)
endforeach()
