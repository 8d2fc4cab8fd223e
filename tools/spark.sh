#!/usr/bin/env bash
# make test-spark: Spark with Iceberg's runtime and SQLite's driver, pinned, into build/spark and build/venv (Java from
# Debian where there is none), then the tests that let Spark read a lake.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/packages.sh
. tools/packages.sh
want=()
command -v java >/dev/null || want+=(openjdk-17-jre-headless)
command -v mvn >/dev/null || want+=(maven)
install_missing test-spark "${want[@]}"
mkdir -p build/spark
here() { (cd build/spark && sha256sum --quiet -c ../../tests/spark/jars.sha256) >/dev/null 2>&1; }
if ! here; then
  echo "test-spark: $(wc -l <tests/spark/jars.sha256) jars into build/spark"
  mvn -q -B -f tests/spark/pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
    -DoutputDirectory="$PWD/build/spark" -DincludeScope=runtime
  here || { echo "test-spark: the jars are not those of tests/spark/jars.sha256" >&2; exit 1; }
fi
if ! cmp -s tests/spark/requirements.txt build/venv/.spark; then
  echo "test-spark: pyspark into build/venv"
  build/venv/bin/python -m pip install -q --disable-pip-version-check -r tests/spark/requirements.txt
  cp tests/spark/requirements.txt build/venv/.spark
fi
INLET=$PWD/${B:-build}/inlet exec build/venv/bin/python -m pytest -q -p no:cacheprovider tests/spark
