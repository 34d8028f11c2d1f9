# What a program that traces itself is built with: libgtrace (shared and static), the public headers, gtrace.pc.
#   cmake --install build/release --prefix DIR
# The whole recording side goes in: base, format/wire, libtrace. Only what is marked GT_API is seen from outside.
set(objects)
foreach(folder base events wire libtrace)
  if(TARGET gtrace_${folder})
    list(APPEND objects $<TARGET_OBJECTS:gtrace_${folder}>)
  endif()
endforeach()
add_library(gtrace_static STATIC ${objects})
add_library(gtrace_shared SHARED ${objects})
foreach(library gtrace_static gtrace_shared)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME gtrace LINKER_LANGUAGE C)
  target_link_libraries(${library} PRIVATE gtrace_flags PkgConfig::ZSTD PkgConfig::URING)
endforeach()
# Before 1.0 each minor version may change the interface.
set_target_properties(gtrace_shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
if(NOT GTRACE_SANITIZE)
  target_link_options(gtrace_shared PRIVATE -Wl,--no-undefined)
endif()

include(GNUInstallDirs)
foreach(kind LIBDIR INCLUDEDIR)
  if(IS_ABSOLUTE "${CMAKE_INSTALL_${kind}}")
    set(GTRACE_PC_${kind} ${CMAKE_INSTALL_${kind}})
  else()
    set(GTRACE_PC_${kind} "\${prefix}/${CMAKE_INSTALL_${kind}}")
  endif()
endforeach()
configure_file(${CMAKE_CURRENT_LIST_DIR}/gtrace.pc.in ${CMAKE_BINARY_DIR}/gtrace.pc.stage @ONLY)
install(TARGETS gtrace_static gtrace_shared)
install(FILES ${GTRACE_PUBLIC_HEADERS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gtrace)
# The prefix may be chosen at install time.
install(CODE "
  file(READ \"${CMAKE_BINARY_DIR}/gtrace.pc.stage\" pc)
  string(REGEX REPLACE \"^prefix=[^\\n]*\" \"prefix=\${CMAKE_INSTALL_PREFIX}\" pc \"\${pc}\")
  file(WRITE \"${CMAKE_BINARY_DIR}/gtrace.pc\" \"\${pc}\")")
install(FILES ${CMAKE_BINARY_DIR}/gtrace.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(GLOB GTRACE_MAN_PAGES ${CMAKE_SOURCE_DIR}/docs/man/*.1)
install(FILES ${GTRACE_MAN_PAGES} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
