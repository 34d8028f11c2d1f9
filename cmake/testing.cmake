# Tests mirror the folders: tests/FOLDER/ holds what tests FOLDER/.
#
# gtrace_unit_test(NAME SOURCES file... LINKS target... )    Criterion; not built under TSan, where it cannot start
# gtrace_plain_test(NAME SOURCES file... LINKS target... [ARGS ...])   a program: exit 0 good, 77 skipped (and says why)
# gtrace_script_test(NAME COMMAND ...)                        any command: exit 0 good, 77 skipped (and says why)
# Every test gets the label of its folder; LABELS adds more ("slow": left out of ./check fast).
function(gtrace__test_properties name)
  cmake_parse_arguments(T "" "TIMEOUT" "LABELS" ${ARGN})
  get_filename_component(folder ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 900) # for what hangs: a busy machine takes its time
  endif()
  set(environment "GTRACE_SOURCE_DIR=${PROJECT_SOURCE_DIR}" "GTRACE_BUILD_DIR=${PROJECT_BINARY_DIR}")
  if(GTRACE_SANITIZE MATCHES address AND folder MATCHES "^(agent|e2e|runtime)$")
    # LeakSanitizer stops threads by ptrace in a process of its own: tests that forbid ptrace, or watch every child, would see it.
    # And it does not look at the stacks of goroutines for what still points to memory.
    list(APPEND environment ASAN_OPTIONS=detect_leaks=0)
  endif()
  set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT ${T_TIMEOUT} LABELS "${folder};${T_LABELS}"
    ENVIRONMENT "${environment}")
endfunction()

function(gtrace_unit_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LINKS;LABELS" ${ARGN})
  if(NOT CRITERION_FOUND OR GTRACE_SANITIZE MATCHES "thread")
    return()
  endif()
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE gtrace_flags ${T_LINKS} PkgConfig::CRITERION)
  # Criterion's macros shadow and declare without prototypes.
  target_compile_options(${name} PRIVATE -Wno-shadow -Wno-missing-prototypes)
  add_test(NAME ${name} COMMAND ${name} --verbose=0)
  gtrace__test_properties(${name} TIMEOUT ${T_TIMEOUT} LABELS ${T_LABELS})
endfunction()

function(gtrace_plain_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;LINKS;ARGS;LABELS" ${ARGN})
  add_executable(${name} ${T_SOURCES})
  target_link_libraries(${name} PRIVATE gtrace_flags ${T_LINKS})
  add_test(NAME ${name} COMMAND ${name} ${T_ARGS})
  gtrace__test_properties(${name} TIMEOUT ${T_TIMEOUT} LABELS ${T_LABELS})
endfunction()

function(gtrace_script_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "COMMAND;LABELS" ${ARGN})
  add_test(NAME ${name} COMMAND ${T_COMMAND})
  gtrace__test_properties(${name} TIMEOUT ${T_TIMEOUT} LABELS ${T_LABELS})
endfunction()
