# rosidl_generate_interfaces(target files... [DEPENDENCIES packages...]): installs the definitions and a Python package
# whose classes are made from the definitions when they are first asked for.

find_package(ament_cmake REQUIRED)

function(rosidl_generate_interfaces target)
  cmake_parse_arguments(arg "ADD_LINTER_TESTS;SKIP_INSTALL;SKIP_GROUP_MEMBERSHIP_CHECK" "LIBRARY_NAME" "DEPENDENCIES" ${ARGN})
  set(generated "${CMAKE_CURRENT_BINARY_DIR}/rosidl")
  set(index "")
  foreach(file IN LISTS arg_UNPARSED_ARGUMENTS)
    if(NOT file MATCHES "^(msg|srv|action)/[A-Z][A-Za-z0-9]*\\.(msg|srv|action)$")
      message(FATAL_ERROR "rosidl_generate_interfaces: '${file}' must be msg/Name.msg, srv/Name.srv or action/Name.action")
    elseif(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "rosidl_generate_interfaces: no file '${file}' in ${CMAKE_CURRENT_SOURCE_DIR}")
    endif()
    get_filename_component(kind "${file}" DIRECTORY)
    string(APPEND index "${file}\n")
    install(FILES "${file}" DESTINATION "share/${PROJECT_NAME}/${kind}")
  endforeach()
  foreach(dependency IN LISTS arg_DEPENDENCIES)
    find_package(${dependency} QUIET)
    if(NOT ${dependency}_FOUND)
      message(FATAL_ERROR "rosidl_generate_interfaces: DEPENDENCIES names '${dependency}', which is not found")
    endif()
  endforeach()
  file(WRITE "${generated}/index/${PROJECT_NAME}" "${index}")
  install(FILES "${generated}/index/${PROJECT_NAME}" DESTINATION share/ament_index/resource_index/rosidl_interfaces)
  file(WRITE "${generated}/__init__.py"
       "from embedded_dds.types import install_package\n\ninstall_package(__name__)\n")
  install(FILES "${generated}/__init__.py" DESTINATION "${PYTHON_INSTALL_DIR}/${PROJECT_NAME}")
  add_custom_target(${target} ALL)
endfunction()

# For nodes compiled beside their own messages; nothing is compiled here.
function(rosidl_get_typesupport_target variable)
  set(${variable} "" PARENT_SCOPE)
endfunction()
