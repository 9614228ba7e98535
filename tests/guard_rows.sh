#!/usr/bin/env bash
# Fails when tests/guard_rows.md of the tree ROOT and the tests differ: every row G01 to G97 is there once with a test or a reason, every
# file and test it names exists, every test named after a row is named there beside that row.
#   tests/guard_rows.sh ROOT
set -euo pipefail
cd "$1/tests"
page=guard_rows.md
faults=0
fault() { echo "$page: $*"; faults=$((faults + 1)); }

for n in $(seq -w 1 97); do
  lines=$(grep -c "^| G$n |" $page || true)
  [ "$lines" = 1 ] || fault "row G$n is there $lines times"
done
[ "$(grep -c '^| G' $page)" = 97 ] || fault "there are rows beyond G01 to G97"

while IFS='|' read -r _ row _ _ cell; do
  row=${row// /}
  case "$cell" in
    *"not yet: "*) continue ;;
    *\`*_test.cpp\`*) ;;
    *) fault "$row has neither a test nor a reason" ;;
  esac
  for file in $(grep -o '`[a-z_]*\.cpp`' <<<"$cell" | tr -d '`'); do
    [ -f "$file" ] || fault "$row: there is no $file"
  done
  while read -r name; do
    [ -z "$name" ] || grep -qF "TEST_CASE($name" -- *_test.cpp || fault "$row: there is no test $name"
  done < <(grep -o '"[^"]*"' <<<"$cell" || true)
done < <(grep '^| G' $page)

while IFS=: read -r file text; do
  name=$(grep -o '"[^"]*"' <<<"$text" | head -1)
  for row in $(grep -oE '^"(G[0-9]{2} )+' <<<"$name" | tr -d '"'); do
    line=$(grep "^| $row |" $page || true)
    [[ "$line" == *"\`$file\`"*"$name"* ]] || fault "$row: test $name of $file is not named there"
  done
done < <(grep -oE 'TEST_CASE\("G[0-9]{2} [^"]*"' -- *_test.cpp)

echo "guard_rows: $faults faults"
[ "$faults" = 0 ]
