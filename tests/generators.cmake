# Generators of random programs and walks: shared by their test programs and by the fuzzers.
find_path(CATCH_INCLUDE_DIR catch2/catch.hpp REQUIRED)
foreach(generator random walks)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/${generator}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  add_library(sinter_${generator} STATIC ${sources})
  target_link_libraries(sinter_${generator} PRIVATE sinter_flags PUBLIC sinter)
  target_include_directories(sinter_${generator} PUBLIC ${PROJECT_SOURCE_DIR} ${CATCH_INCLUDE_DIR})
endforeach()
