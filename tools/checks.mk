# Checks beyond make test: heavier, or with tools that a build does not need.
.PHONY: test-spark

test-spark: deps ## Spark reads a lake (fetches pyspark and two jars, 370 MB)
	@$(MAKE) --no-print-directory $(B)/inlet
	@B=$(B) tools/spark.sh
