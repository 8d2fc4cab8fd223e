#!/usr/bin/env bash
# Runs unit test programs (cmocka; through $RUN, an emulator, where it is set), prints a line for each, and ends with "N passed, N failed".
pass=0 fail=0
for t in "$@"; do
  out=$(${RUN:-} "$t" 2>&1); rc=$?
  p=$(grep -c '^\[       OK \]' <<<"$out"); f=$(grep -cE '^\[  (FAILED|ERROR)  *\] [A-Za-z_0-9]+$' <<<"$out")
  [ $rc -ne 0 ] && [ "$f" -eq 0 ] && f=1
  printf '%-40s %4d passed %3d failed\n' "${t##*/}" "$p" "$f"
  [ $rc -ne 0 ] && grep -vE '^\[ (RUN|      OK)' <<<"$out" | tail -40
  pass=$((pass + p)); fail=$((fail + f))
done
echo "unit: $pass passed, $fail failed"
[ "$fail" -eq 0 ]
