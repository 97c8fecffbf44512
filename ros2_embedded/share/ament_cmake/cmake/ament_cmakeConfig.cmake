# What packages without compiled code use of ament_cmake: ament_package(), exports and linters as far as they matter here.

get_filename_component(_ament_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(_ament_cmake_DIR "${CMAKE_CURRENT_LIST_DIR}")

# Packages of this prefix that need nothing at build time (message packages, rclpy, ...) are found through one empty configuration.
file(GLOB _ament_packages RELATIVE "${_ament_prefix}/share/ament_index/resource_index/packages"
     "${_ament_prefix}/share/ament_index/resource_index/packages/*")
foreach(_ament_package IN LISTS _ament_packages)
  if(NOT EXISTS "${_ament_prefix}/share/${_ament_package}/cmake")
    set(${_ament_package}_DIR "${CMAKE_BINARY_DIR}/ament_cmake/${_ament_package}")
    file(WRITE "${${_ament_package}_DIR}/${_ament_package}Config.cmake" "")
  endif()
endforeach()

# The folder of Python packages under the install prefix, named as colcon's PYTHONPATH hook expects it.
find_program(AMENT_PYTHON NAMES python3 REQUIRED)
execute_process(COMMAND "${AMENT_PYTHON}" -c "import sys; print('lib/python%d.%d/site-packages' % sys.version_info[:2])"
                OUTPUT_VARIABLE PYTHON_INSTALL_DIR OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

# Installs the manifest, the index entry, the environment scripts and a CMake configuration for dependent packages.
function(ament_package)
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/ament_cmake")
  set(share "share/${PROJECT_NAME}")
  file(WRITE "${generated}/index/${PROJECT_NAME}" "")
  install(FILES "${generated}/index/${PROJECT_NAME}" DESTINATION share/ament_index/resource_index/packages)
  install(FILES package.xml DESTINATION ${share})
  file(WRITE "${generated}/${PROJECT_NAME}Config.cmake" "set(${PROJECT_NAME}_FOUND_IN \"\${CMAKE_CURRENT_LIST_DIR}\")\n")
  install(FILES "${generated}/${PROJECT_NAME}Config.cmake" DESTINATION ${share}/cmake)
  file(WRITE "${generated}/local_setup.dsv" "prepend-non-duplicate;AMENT_PREFIX_PATH;\n")
  install(FILES "${generated}/local_setup.dsv" DESTINATION ${share})
  foreach(extension sh bash zsh)
    configure_file("${_ament_cmake_DIR}/local_setup.${extension}.in" "${generated}/local_setup.${extension}" @ONLY)
    install(FILES "${generated}/local_setup.${extension}" DESTINATION ${share})
  endforeach()
endfunction()

# ament_python_install_package(name): the Python package of that name beside CMakeLists.txt.
function(ament_python_install_package name)
  install(DIRECTORY "${name}/" DESTINATION "${PYTHON_INSTALL_DIR}/${name}" PATTERN "__pycache__" EXCLUDE)
endfunction()

foreach(_ament_ignored ament_export_dependencies ament_export_include_directories ament_lint_auto_find_test_dependencies)
  cmake_language(EVAL CODE "function(${_ament_ignored})\nendfunction()")
endforeach()
