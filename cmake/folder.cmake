# gtrace_folder(NAME SOURCES file... LINKS target...)
#
# One static library for one folder. Its headers are reached by their path in the project, and only
# by those who link it: every folder's include root is a directory of its own that holds
# one link, so a wrong include does not compile.
function(gtrace_folder name)
  cmake_parse_arguments(F "" "" "SOURCES;LINKS" ${ARGN})
  set(root ${PROJECT_BINARY_DIR}/include-root/${name})
  file(RELATIVE_PATH below ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
  get_filename_component(parent ${root}/${below} DIRECTORY)
  file(MAKE_DIRECTORY ${parent})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${root}/${below} SYMBOLIC)
  if(F_SOURCES)
    add_library(gtrace_${name} STATIC ${F_SOURCES})
    set_target_properties(gtrace_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    target_include_directories(gtrace_${name} PUBLIC $<BUILD_INTERFACE:${root}>)
    target_link_libraries(gtrace_${name} PUBLIC $<BUILD_INTERFACE:gtrace_flags> ${F_LINKS})
  else()
    add_library(gtrace_${name} INTERFACE)
    target_include_directories(gtrace_${name} INTERFACE $<BUILD_INTERFACE:${root}>)
    target_link_libraries(gtrace_${name} INTERFACE gtrace_flags ${F_LINKS})
  endif()
endfunction()
