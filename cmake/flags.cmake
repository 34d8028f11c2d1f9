# Every target links gtrace_flags; nothing sets CMAKE_C_FLAGS.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
add_library(gtrace_flags INTERFACE)
target_compile_features(gtrace_flags INTERFACE c_std_11)
target_compile_definitions(gtrace_flags INTERFACE _GNU_SOURCE)
target_compile_options(gtrace_flags INTERFACE
  $<$<COMPILE_LANGUAGE:C>:-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wpointer-arith -Wwrite-strings -Wvla -Wno-unused-parameter
    -fno-omit-frame-pointer -fno-strict-aliasing -fvisibility=hidden>)
if(GTRACE_WERROR)
  target_compile_options(gtrace_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:-Werror>)
endif()
if(GTRACE_SANITIZE)
  # Without no-recover UBSan prints and the test passes.
  target_compile_options(gtrace_flags INTERFACE -fsanitize=${GTRACE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(gtrace_flags INTERFACE -fsanitize=${GTRACE_SANITIZE})
endif()
if(GTRACE_FUZZ)
  target_compile_options(gtrace_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
find_package(Threads REQUIRED)
target_link_libraries(gtrace_flags INTERFACE Threads::Threads)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
