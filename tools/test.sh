#!/usr/bin/env bash
# make test: unit tests, then the end-to-end tests, JOBS (4) at a time, for most of them wait; one closing line for both.
set -uo pipefail
cd "$(dirname "$0")/.."
B=${B:-build}
log=$(mktemp); trap 'rm -f "$log"' EXIT
make -s unit B="$B" | tee "$log"; unit_rc=${PIPESTATUS[0]}
read -r up uf < <(sed -nE 's/^unit: ([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' "$log" | tail -1)
suites=(tests/e2e)
if command -v terraform >/dev/null; then suites+=(tests/infra); else echo "infra: Terraform is not installed: its checks are left out"; fi
INLET=$PWD/$B/inlet build/venv/bin/python -m pytest -q --maxfail=20 -p no:cacheprovider -n "${JOBS:-4}" --maxschedchunk 1 -rs "${suites[@]}" 2>&1 | tee "$log"; e2e_rc=${PIPESTATUS[0]}
ep=$(grep -oE '[0-9]+ passed' "$log" | tail -1 | cut -d' ' -f1); ef=$(grep -oE '[0-9]+ (failed|error)' "$log" | awk '{s+=$1} END {print s+0}')
up=${up:-0} uf=${uf:-0} ep=${ep:-0} ef=${ef:-0}
[ "$unit_rc" -ne 0 ] && [ "$uf" -eq 0 ] && uf=1
[ "$e2e_rc" -ne 0 ] && [ "$ef" -eq 0 ] && ef=1
echo "$((up + ep)) passed, $((uf + ef)) failed"
[ $((uf + ef)) -eq 0 ]
