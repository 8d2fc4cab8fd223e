#!/usr/bin/env bash
# lint.sh tidy|analyse: clang-tidy (.clang-tidy says which checks) or gcc -fanalyzer over each source; what
# tools/lint.txt does not pass over is printed, and fails.
cd "$(dirname "$0")/.." || exit 1
flags="-std=gnu17 -D_GNU_SOURCE -DXXH_INLINE_ALL -Isrc"
case $1 in
  tidy) one="clang-tidy --quiet {} -- $flags 2>/dev/null" ;;
  analyse) one="gcc -O1 -fanalyzer $flags -c -o /dev/null {} 2>&1" ;;
esac
found=$(find src -name '*.c' | sort | xargs -P"$(nproc)" -I{} sh -c "$one" | grep -E ': (warning|error): .*\[' | sed "s|^$PWD/||" |
  awk 'NR == FNR {if ($0 !~ /^#/) pass[++n] = $1 " " $2; next}
       {for (i = 1; i <= n; i++) {split(pass[i], p, " "); if (index($0, p[1] ":") == 1 && index($0, p[2])) next} print}' tools/lint.txt - | sort -u)
[ -z "$found" ] || { echo "$found"; exit 1; }
