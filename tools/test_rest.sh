#!/usr/bin/env bash
# make test-rest: tests/e2e/test_rest.py against Iceberg's own REST server (its test fixture, from Maven Central). The
# server listens on all addresses, so it and the tests run in a network namespace of their own.
set -euo pipefail
cd "$(dirname "$0")/.."
version=1.10.1 port=8181
jar=build/jars/iceberg-open-api-$version.jar
if [ "${1:-}" != inside ]; then
  for tool in java mvn unshare ip; do
    command -v "$tool" >/dev/null || { echo "test-rest: $tool is missing: apt install openjdk-17-jre-headless maven util-linux iproute2" >&2; exit 1; }
  done
  if [ ! -f "$jar" ]; then
    echo "test-rest: fetching $(basename "$jar") (212 MB) with Maven"
    mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy -Dartifact=org.apache.iceberg:iceberg-open-api:$version \
      -DoutputDirectory="$PWD/build/jars" -Dmdep.useBaseVersion=true
  fi
  user=-r; [ "$(id -u)" = 0 ] && user=
  exec unshare -n $user "$0" inside
fi
ip link set lo up
work=$(mktemp -d)
CATALOG_WAREHOUSE=file://$work/warehouse CATALOG_URI=jdbc:sqlite:$work/catalog.db REST_PORT=$port \
  java -cp "$jar" org.apache.iceberg.rest.RESTCatalogServer >"$work/log" 2>&1 & server=$!
trap 'kill $server 2>/dev/null || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do
  (exec 3<>/dev/tcp/127.0.0.1/$port) 2>/dev/null && break
  kill -0 $server 2>/dev/null || { cat "$work/log" >&2; exit 1; }
  sleep 0.2
done
INLET=$PWD/${B:-build}/inlet INLET_TEST_REST=http://127.0.0.1:$port \
  build/venv/bin/python -m pytest -q -p no:cacheprovider tests/e2e/test_rest.py
