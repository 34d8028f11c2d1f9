# Fuzz targets: tests/fuzz/NAME.c has LLVMFuzzerTestOneInput, tests/fuzz/corpus/NAME/ what it starts from.
#
# gtrace_fuzz_target(NAME SOURCES file... LINKS target...)
#   With GTRACE_FUZZ (clang) libFuzzer drives it: build/fuzz/bin/fuzz_NAME CORPUS-DIR. Without, it is a test that runs every file
#   of the corpus once, under whatever sanitizer the build has.
function(gtrace_fuzz_target name)
  cmake_parse_arguments(F "" "TIMEOUT" "SOURCES;LINKS" ${ARGN})
  set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  add_executable(fuzz_${name} ${F_SOURCES})
  target_link_libraries(fuzz_${name} PRIVATE gtrace_flags ${F_LINKS})
  target_compile_options(fuzz_${name} PRIVATE -Wno-missing-prototypes)
  if(GTRACE_FUZZ)
    target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz-${name} COMMAND fuzz_${name} -runs=0 ${corpus})
  else()
    target_sources(fuzz_${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay_main.c)
    add_test(NAME fuzz-${name} COMMAND fuzz_${name} ${corpus})
  endif()
  gtrace__test_properties(fuzz-${name} TIMEOUT ${F_TIMEOUT})
endfunction()
