#!/usr/bin/env bash
# What can be counted of how this tree is written: functions of at most 70 lines, files of at most 900, no path of
# somebody's machine.
cd "$(dirname "$0")/.." || exit 1
bad=0
say() { [ -z "$1" ] || { echo "$1"; bad=1; }; }
mapfile -t sources < <(find src tests tools bench infra -type f \( -name '*.[ch]' -o -name '*.py' -o -name '*.sh' -o -name '*.tf' \) ! -path '*/.terraform/*')
# but for these, still to be taken apart
long='tests/unit/table/test_table.c'
say "$(awk -v long=" $long " 'FNR == 901 && !index(long, " " FILENAME " ") {print FILENAME ": more than 900 lines: two rooms"}' "${sources[@]}")"
say "$(find src tests bench -name '*.[ch]' -print0 | xargs -0 awk '
  /^\{$/ {from = FNR}
  /^\}$/ {if (from && FNR - from + 1 > 70) print FILENAME ":" from ": a function of " FNR - from + 1 " lines"; from = 0}')"
say "$(grep -rnE '(^|[^a-z0-9_.])/(home|root|work|Users)/[a-zA-Z0-9_.]+' --include='*' -I src tests tools bench infra docs .ci Makefile ./*.md 2>/dev/null |
  grep -vE '/\.terraform/|tools/style.sh:' | sed 's/$/: a path of one machine/')"
[ $bad = 0 ] && echo "style: no function beyond 70 lines, no file beyond 900, no path of one machine"
exit $bad
