# Channels, select, sync, timers and contexts, on real threads.
gtrace_plain_test(runtime-sync-stress SOURCES sync_stress.c LINKS gtrace_runtime TIMEOUT 1800)
add_executable(runtime-misuse-program misuse.c)
target_link_libraries(runtime-misuse-program PRIVATE gtrace_flags gtrace_runtime)
gtrace_script_test(runtime-misuse COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/misuse.sh $<TARGET_FILE:runtime-misuse-program>
  ${CMAKE_CURRENT_SOURCE_DIR}/misuse.c)
find_package(Python3 COMPONENTS Interpreter)
# Sanitizers make slices end where they do not end otherwise.
if(TARGET gtrace AND Python3_FOUND AND NOT GTRACE_SANITIZE)
  add_executable(runtime-samestory samestory.c)
  target_link_libraries(runtime-samestory PRIVATE gtrace_flags gtrace_runtime)
  gtrace_script_test(runtime-same-story-as-go TIMEOUT 1800 COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/samestory.py $<TARGET_FILE:gtrace>
    $<TARGET_FILE:runtime-samestory>)
endif()
gtrace_script_test(runtime-types COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/types.sh ${CMAKE_CURRENT_SOURCE_DIR}/types.c
  ${PROJECT_SOURCE_DIR}/runtime/include ${PROJECT_BINARY_DIR}/include-root/public)
# What Go's own tests of channels and of the scheduler check (docs/conformance.md).
gtrace_plain_test(runtime-conformance SOURCES conformance.c LINKS gtrace_runtime TIMEOUT 120)
set_property(TEST runtime-conformance APPEND PROPERTY ENVIRONMENT "GOMAXPROCS=3" "GT_ASYNCPREEMPT=0")
add_test(NAME runtime-conformance-order COMMAND runtime-conformance order)
gtrace__test_properties(runtime-conformance-order TIMEOUT 120)
set_property(TEST runtime-conformance-order APPEND PROPERTY ENVIRONMENT "GOMAXPROCS=1")
gtrace_plain_test(runtime-powser SOURCES powser.c LINKS gtrace_runtime TIMEOUT 120)
if(Python3_FOUND)
  gtrace_script_test(runtime-conformance-table COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_SOURCE_DIR}/conformance_table.py ${PROJECT_SOURCE_DIR})
endif()
