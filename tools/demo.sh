#!/usr/bin/env bash
# make demo: a local Kinesis stand-in, a million events into it, inlet from it into a lake, and readers
# that are not ours over the lake. EVENTS=n makes it smaller.
set -euo pipefail
cd "$(dirname "$0")/.."
events=${EVENTS:-1000000} seed=1 start=2026-11-20T00:00:00Z
out=build/demo inlet=build/inlet python=build/venv/bin/python
say() { printf '\n== %s\n' "$*"; }
rm -rf "$out"; mkdir -p "$out"
port=$($python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1 AWS_ACCESS_KEY_ID=demo AWS_SECRET_ACCESS_KEY=demo
say "a Kinesis stand-in (moto) on 127.0.0.1:$port, its log in $out/kinesis.log"
$python tests/standin/aws.py -H 127.0.0.1 -p "$port" >"$out/kinesis.log" 2>&1 & standin=$!
trap 'kill $standin 2>/dev/null || true' EXIT
$python tools/demo_stream.py create demo 4
say "$events events of 100 names into the stream: 1% duplicates, 0.1% malformed"
time $inlet gen --events "$events" --types 100 --seed $seed --start $start --duplicates 0.01 --malformed 0.001 --stream kinesis://demo
say "inlet run: from the stream into $out/lake"
time $inlet run --stream kinesis://demo --lake "$out/lake" --until-caught-up
say "the tables"
$inlet tables --lake "$out/lake"
kill $standin; trap - EXIT
say "DuckDB queries the lake; PyIceberg proves that it holds each expected event_uuid once"
$inlet gen --events "$events" --types 100 --seed $seed --start $start --duplicates 0.01 --malformed 0.001 >"$out/sent.ndjson" 2>/dev/null
$python tools/demo_check.py "$out/lake" "$out/sent.ndjson"
rm -f "$out/sent.ndjson"
printf '\nThe lake is in %s (catalog: %s/catalog.db). Look again: build/inlet tables --lake %s\n' "$out/lake" "$out/lake" "$out/lake"
