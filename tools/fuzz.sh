#!/usr/bin/env bash
# fuzz.sh SECONDS HARNESS...: each for so long under ASan and UBSan. With clang's libFuzzer, which is guided by what
# the input reaches; where clang cannot be had, with tests/fuzz/driver.c and gcc. What fails is left in build-fuzz.
set -uo pipefail
cd "$(dirname "$0")/.."
seconds=$1; shift
# shellcheck source=tools/packages.sh
. tools/packages.sh
sanitizers="address,undefined -fno-sanitize-recover=all"
out=build-fuzz
export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1:max_allocation_size_mb=512 UBSAN_OPTIONS=print_stacktrace=1
(install_missing fuzz clang libclang-rt-14-dev) || echo "fuzz: no clang: mutations without guidance"
bad=0
for h in "$@"; do
  mkdir -p "$out/corpus/$h"
  echo "== $h, $seconds s"
  if command -v clang >/dev/null; then
    make -s -j"$(nproc)" "build/fuzz/$h" >"$out/make.log" 2>&1 &&
      make -s -j"$(nproc)" CC=clang B=$out OPT="-O1 -g" SAN="-fsanitize=fuzzer-no-link,$sanitizers" "$out/libfuzzer/$h" >>"$out/make.log" 2>&1 ||
      { tail -20 "$out/make.log"; exit 1; }
    "build/fuzz/$h" --write "$out/corpus/$h"
    "$out/libfuzzer/$h" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=65536 -artifact_prefix="$out/$h-" \
      -print_final_stats=1 "$out/corpus/$h" >"$out/$h.log" 2>&1 || { bad=1; tail -60 "$out/$h.log"; }
    grep -E "stat::number_of_executed_units|^#[0-9]+.*DONE" "$out/$h.log"
  else
    make -s -j"$(nproc)" B=$out OPT="-O1 -g" CFLAGS=-Wno-format-truncation SAN="-fsanitize=$sanitizers" "$out/fuzz/$h" >"$out/make.log" 2>&1 ||
      { tail -20 "$out/make.log"; exit 1; }
    "$out/fuzz/$h" --seconds "$seconds" --seed "$RANDOM" --last "$out/$h.last" || bad=1 # the input: past its first 8 bytes
  fi
done
[ $bad = 0 ] && echo "fuzz: nothing found"
exit $bad
