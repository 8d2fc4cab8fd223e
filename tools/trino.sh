#!/usr/bin/env bash
# make test-trino: Trino's server (what Athena is made from), pinned, into build/trino, its client and a Java that is new
# enough for it into build/venv, then the tests that let it read a lake in S3 and Glue. Of the server its Iceberg part stays.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/packages.sh
. tools/packages.sh
version=476 sum=cfd5accde17e8ebd251eeeb78aed1f490e77bb3a164d95a0f454bf8a7c1cbd3f
command -v mvn >/dev/null || install_missing test-trino maven openjdk-17-jre-headless
if [ "$(cat build/trino/version 2>/dev/null)" != "$version" ]; then
  echo "test-trino: fetching Trino's server $version with Maven (821 MB, of which 500 stay in build/trino)"
  rm -rf build/trino build/trino.new; mkdir -p build/trino.new
  mvn -q -B -Dmaven.repo.local="$PWD/build/trino.new/m2" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
    -Dartifact=io.trino:trino-server:$version:tar.gz -DoutputDirectory="$PWD/build/trino.new"
  echo "$sum  build/trino.new/trino-server-$version.tar.gz" | sha256sum --quiet -c
  tar -xzf build/trino.new/trino-server-$version.tar.gz -C build/trino.new --strip-components=1 # jars are links to each other
  rm -rf build/trino.new/{m2,bin,secrets-plugin,trino-server-$version.tar.gz}
  find build/trino.new/plugin -mindepth 1 -maxdepth 1 ! -name iceberg -exec rm -rf {} +
  echo "$version" >build/trino.new/version
  mv build/trino.new build/trino
fi
if ! cmp -s tests/trino/requirements.txt build/venv/.trino; then
  echo "test-trino: Trino's client and Java 25 into build/venv"
  build/venv/bin/python -m pip install -q --disable-pip-version-check -r tests/trino/requirements.txt
  cp tests/trino/requirements.txt build/venv/.trino
fi
INLET=$PWD/${B:-build}/inlet exec build/venv/bin/python -m pytest -q -p no:cacheprovider tests/trino
