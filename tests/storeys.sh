#!/usr/bin/env bash
# Fails when a storey includes, or links against, one above it: runtime < codegen < engine < frontend.
#   tests/storeys.sh ROOT [LIBRARY...]
# ROOT is the source tree; the libraries are the four static ones, lowest first (without them only includes are checked).
set -euo pipefail
root=$1
shift
storeys=(runtime codegen engine frontend)
faults=0

# "file<TAB>included" for every include of the tree.
list_includes() {
  (cd "$root" && grep -rHoE --include='*.h' --include='*.cpp' --include='*.inc' --include='*.def' \
    '^[[:space:]]*#[[:space:]]*include[[:space:]]*["<][^">]+[">]' "${storeys[@]}") |
    sed -E 's/^([^:]+):.*(["<])([^">]+)[">]$/\1\t\2\t\3/'
}

# Prints each include that leads upward, and each quoted one that names no file next to its includer.
upward_includes() {
  list_includes | (cd "$root" && awk -F'\t' '
    function height(path) {
      if (path ~ /^runtime\//) return 1
      if (path ~ /^codegen\//) return 2
      if (path ~ /^engine\//) return 3
      if (path ~ /^(frontend|sinter)\//) return 4
      return 0
    }
    function normal(path,   parts, n, i, out, depth) {
      n = split(path, parts, "/"); depth = 0
      for (i = 1; i <= n; ++i) {
        if (parts[i] == "." || parts[i] == "") continue
        if (parts[i] == ".." && depth > 0 && out[depth] != "..") --depth
        else out[++depth] = parts[i]
      }
      path = out[1]
      for (i = 2; i <= depth; ++i) path = path "/" out[i]
      return path
    }
    {
      target = $3
      if ($2 == "\"") {
        folder = $1; sub(/\/[^\/]*$/, "", folder)
        target = normal(folder "/" $3)
        if ((getline line < target) < 0) { print $1 ": \"" $3 "\" is not a file beside it; includes inside sinter are relative"; next }
        close(target)
      }
      if (height(target) > height($1)) print $1 " includes " target
    }')
}

# Symbols an archive defines / needs. A symbol is judged when it is one of ours (namespace sinter) or strong.
defined() { nm --defined-only "$1" 2>/dev/null | awk 'NF == 3 && ($2 ~ /[TDBRS]/ || $3 ~ /6sinter/) {print $3}' | sort -u; }
needed() { nm --undefined-only "$1" 2>/dev/null | awk '$1 == "U" || $1 == "w" {print $2}' | sort -u; }

# Prints each symbol that the library $1 needs, that neither it nor one below defines, and that one above does.
upward_links() {
  local i=$1 work=$2 j
  : >"$work/known"
  for ((j = 0; j <= i; ++j)); do defined "${libraries[j]}" >>"$work/known"; done
  sort -u -o "$work/known" "$work/known"
  needed "${libraries[i]}" | comm -23 - "$work/known" >"$work/missing"
  for ((j = i + 1; j < ${#libraries[@]}; ++j)); do
    defined "${libraries[j]}" | comm -12 - "$work/missing" | c++filt | sed "s|^|${storeys[i]} needs from ${storeys[j]}: |"
  done
}

report() {
  [ -z "$1" ] && return
  echo "$1"
  faults=$((faults + $(printf '%s\n' "$1" | wc -l)))
}

[ "$(list_includes | wc -l)" -gt 0 ] || { echo "no includes found under $root" >&2; exit 2; }
report "$(upward_includes)"
libraries=("$@")
if [ ${#libraries[@]} -gt 0 ]; then
  [ ${#libraries[@]} -eq ${#storeys[@]} ] || { echo "expected ${#storeys[@]} libraries" >&2; exit 2; }
  for library in "${libraries[@]}"; do [ -s "$library" ] || { echo "no such library: $library" >&2; exit 2; }; done
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  for ((i = 0; i < ${#libraries[@]}; ++i)); do report "$(upward_links "$i" "$work")"; done
fi
echo "storeys: $faults faults"
[ "$faults" -eq 0 ]
