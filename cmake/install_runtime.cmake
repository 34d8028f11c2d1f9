# The runtime for programs outside: libgtrace_runtime (shared and static), <gtrace/go.h> and the others, gtrace-runtime.pc, gdb's commands.
# It stands on libgtrace, which is a library of its own: a program may use marks without goroutines.
add_library(gtrace_runtime_static STATIC $<TARGET_OBJECTS:gtrace_runtime>)
add_library(gtrace_runtime_shared SHARED $<TARGET_OBJECTS:gtrace_runtime>)
foreach(library gtrace_runtime_static gtrace_runtime_shared)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME gtrace_runtime LINKER_LANGUAGE C)
  target_link_libraries(${library} PRIVATE gtrace_flags)
endforeach()
target_link_libraries(gtrace_runtime_shared PRIVATE gtrace_shared $<LINK_ONLY:gtrace_base> ${CMAKE_DL_LIBS})
# Before 1.0 each minor version may change the interface: the soname and the symbols' version say which it is.
set(GTRACE_ABI ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
# It finds the libgtrace that stands beside it, in whatever prefix.
set_target_properties(gtrace_runtime_shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${GTRACE_ABI} INSTALL_RPATH "$ORIGIN")
set(map ${PROJECT_BINARY_DIR}/gtrace_runtime.map)
file(WRITE ${map}.new "GTRACE_RUNTIME_${GTRACE_ABI} {\n\tglobal: gt_*;\n\tlocal: *;\n};\n")
configure_file(${map}.new ${map} COPYONLY)
target_link_options(gtrace_runtime_shared PRIVATE -Wl,--version-script=${map})
set_target_properties(gtrace_runtime_shared PROPERTIES LINK_DEPENDS ${map})
if(NOT GTRACE_SANITIZE)
  target_link_options(gtrace_runtime_shared PRIVATE -Wl,--no-undefined)
endif()

gtrace_pkgconfig(gtrace-runtime)
install(TARGETS gtrace_runtime_static gtrace_runtime_shared)
file(GLOB headers ${PROJECT_SOURCE_DIR}/runtime/include/gtrace/*.h)
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/gtrace)
foreach(section 3 7)
  file(GLOB pages ${PROJECT_SOURCE_DIR}/docs/man/*.${section})
  install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
# gdb's commands: to be sourced, and where gdb looks by itself: beside the library (once that is in auto-load safe-path), and where
# distributions put such files.
set(GTRACE_GDB ${PROJECT_SOURCE_DIR}/tools/gdb/gtrace-gdb.py)
install(FILES ${GTRACE_GDB} DESTINATION ${CMAKE_INSTALL_DATADIR}/gtrace)
install(FILES ${GTRACE_GDB} DESTINATION ${CMAKE_INSTALL_LIBDIR} RENAME libgtrace_runtime.so.${PROJECT_VERSION}-gdb.py)
install(FILES ${GTRACE_GDB} DESTINATION ${CMAKE_INSTALL_DATADIR}/gdb/auto-load/${CMAKE_INSTALL_FULL_LIBDIR}
  RENAME libgtrace_runtime.so.${PROJECT_VERSION}-gdb.py)

# libgtrace_debug: the debug server, for programs that call it.
# The reading side goes in, for traces in other formats; base and the table of events are in the static libgtrace.
set(objects)
foreach(folder debug debug_http convert reading import model)
  list(APPEND objects $<TARGET_OBJECTS:gtrace_${folder}>)
endforeach()
add_library(gtrace_debug_static STATIC ${objects})
add_library(gtrace_debug_shared SHARED ${objects} $<TARGET_OBJECTS:gtrace_base> $<TARGET_OBJECTS:gtrace_events>)
foreach(library gtrace_debug_static gtrace_debug_shared)
  set_target_properties(${library} PROPERTIES OUTPUT_NAME gtrace_debug LINKER_LANGUAGE C)
  target_link_libraries(${library} PRIVATE gtrace_flags PkgConfig::ZSTD PkgConfig::ZLIB)
  # Until libgtrace_profile is installed too, an installed server has no profiles.
  target_sources(${library} PRIVATE $<$<NOT:$<TARGET_EXISTS:gtrace_profile_shared>>:${PROJECT_SOURCE_DIR}/runtime/debug/absent.c>)
  target_include_directories(${library} PRIVATE ${PROJECT_SOURCE_DIR}/runtime/include)
endforeach()
target_link_libraries(gtrace_debug_shared PRIVATE gtrace_runtime_shared gtrace_shared ${CMAKE_DL_LIBS})
target_link_libraries(gtrace_debug_shared PRIVATE $<$<TARGET_EXISTS:gtrace_profile_shared>:gtrace_profile_shared>)
set(debug_map ${PROJECT_BINARY_DIR}/gtrace_debug.map)
file(WRITE ${debug_map}.new "GTRACE_DEBUG_${GTRACE_ABI} {\n\tglobal: gt_debug_*;\n\tlocal: *;\n};\n")
configure_file(${debug_map}.new ${debug_map} COPYONLY)
set_target_properties(gtrace_debug_shared PROPERTIES
  VERSION ${PROJECT_VERSION} SOVERSION ${GTRACE_ABI} INSTALL_RPATH "$ORIGIN" LINK_DEPENDS ${debug_map})
target_link_options(gtrace_debug_shared PRIVATE -Wl,--version-script=${debug_map})
if(NOT GTRACE_SANITIZE)
  target_link_options(gtrace_debug_shared PRIVATE -Wl,--no-undefined)
endif()
install(TARGETS gtrace_debug_static gtrace_debug_shared)
gtrace_pkgconfig(gtrace-debug)
