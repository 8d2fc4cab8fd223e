#!/usr/bin/env bash
# Writes the option table into docs/configuration.md, between its two marks.
set -euo pipefail
cd "$(dirname "$0")/.."
page=docs/configuration.md
table=$("${INLET:-build/inlet}" options)
awk -v table="$table" '/^<!-- options -->$/ {print; print ""; print table; print ""; skip = 1}
  /^<!-- end -->$/ {skip = 0} !skip || /^<!-- end -->$/ {if (!/^<!-- options -->$/) print}' "$page" >"$page.new"
mv "$page.new" "$page"
