# Channels, select, sync, timers and contexts, on real threads.
gtrace_plain_test(runtime-sync-stress SOURCES sync_stress.c LINKS gtrace_runtime TIMEOUT 120)
add_executable(runtime-misuse-program misuse.c)
target_link_libraries(runtime-misuse-program PRIVATE gtrace_flags gtrace_runtime)
gtrace_script_test(runtime-misuse COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/misuse.sh $<TARGET_FILE:runtime-misuse-program>
  ${CMAKE_CURRENT_SOURCE_DIR}/misuse.c)
