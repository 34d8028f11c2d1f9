# gtrace_pkgconfig(NAME): NAME.pc from cmake/NAME.pc.in; its prefix is the one that is chosen at install time.
# It is written where it goes: one in the build folder would be root's after an install as root, or that of another install beside it.
function(gtrace_pkgconfig name)
  set(stage ${PROJECT_BINARY_DIR}/${name}.pc.stage)
  set(to ${CMAKE_INSTALL_LIBDIR}/pkgconfig/${name}.pc)
  if(NOT IS_ABSOLUTE ${to})
    set(to \${CMAKE_INSTALL_PREFIX}/${to})
  endif()
  configure_file(${PROJECT_SOURCE_DIR}/cmake/${name}.pc.in ${stage} @ONLY)
  install(CODE "
    file(READ \"${stage}\" text)
    string(REGEX REPLACE \"^prefix=[^\\n]*\" \"prefix=\${CMAKE_INSTALL_PREFIX}\" text \"\${text}\")
    message(STATUS \"Installing: \$ENV{DESTDIR}${to}\")
    file(WRITE \"\$ENV{DESTDIR}${to}\" \"\${text}\")
    list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"${to}\")")
endfunction()
