# Toolchain for machines without a C compiler: project() of an interface package succeeds, compiling would fail.
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER "${CMAKE_COMMAND}")  # any existing program: it is never run
  set(CMAKE_${language}_COMPILER_FORCED TRUE)
endforeach()
