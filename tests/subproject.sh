#!/usr/bin/env bash
# A project of a user's own that adds the tree ROOT as README says (add_subdirectory, target_link_libraries) and knows nothing else:
# it is configured, and SOURCE is compiled with what linking to sinter passes on.
#   tests/subproject.sh ROOT SOURCE
set -euo pipefail
root=$(realpath "$1") source=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
ln -s "$root" "$work/sinter"
cp "$source" "$work/app.cpp"
cat >"$work/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.25)
project(app LANGUAGES CXX)
add_subdirectory(sinter)
add_library(app OBJECT app.cpp)
target_link_libraries(app PRIVATE sinter)
END
cmake -S "$work" -B "$work/build" -G Ninja >"$work/log" 2>&1 && cmake --build "$work/build" --target app >>"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
if grep -qE "cmake_object_order_depends_target_(test|sample)_|tests/CMakeFiles" "$work/build/build.ninja"; then
  echo "tests of sinter became part of the user's project"
  exit 1
fi
echo "subproject: configured and compiled"
