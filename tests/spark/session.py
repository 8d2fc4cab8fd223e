"""The Spark session that the tests share, and a lake opened in it as the cookbook says (docs/queries.md)."""
import os
import pathlib
import re
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
import cookbook  # noqa: E402

os.environ["TZ"] = "UTC"  # of the times that Spark gives as Python's
time.tzset()


@pytest.fixture(scope="session")
def spark():
    from pyspark.sql import SparkSession
    jars = ",".join(map(str, sorted((ROOT / "build" / "spark").glob("*.jar"))))
    assert jars, "run it by make test-spark"
    session = (SparkSession.builder.master("local[2]").config("spark.jars", jars).config("spark.ui.enabled", "false")
               .config("spark.sql.extensions", "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions")
               .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
               .config("spark.driver.memory", "1g").config("spark.sql.session.timeZone", "UTC")
               .config("spark.sql.shuffle.partitions", "2").config("spark.log.level", "ERROR").getOrCreate())
    yield session
    session.stop()


def open_lake(spark, lake, options="", **more):
    """A session of its own with the settings of the page for a local lake: its catalog's name, `default`, is part of the
    catalog's rows. It does not keep tables, for inlet changes them meanwhile."""
    local = next(b for b in cookbook.blocks("sh") if "jdbc" in b)
    settings = dict(re.findall(r"--conf (\S+?)=(\S+)", local))
    assert settings["spark.sql.catalog.default.uri"] == "jdbc:sqlite:lake/catalog.db" and settings["spark.sql.catalog.default.warehouse"] == "lake"
    settings.update({"spark.sql.catalog.default.uri": f"jdbc:sqlite:{lake.path}/catalog.db{options}",
                     "spark.sql.catalog.default.warehouse": f"file://{lake.path}", "spark.sql.catalog.default.cache-enabled": "false"})
    settings.update({f"spark.sql.catalog.default.{k.replace('__', '-').replace('_', '.')}": v for k, v in more.items()})
    session = spark.newSession()
    for key, value in settings.items():
        session.conf.set(key, value)
    return session
