# Checks beyond make test: heavier, or with tools that a build does not need.
.PHONY: test-spark test-trino

test-spark: deps ## Spark reads a lake (fetches pyspark and two jars, 370 MB)
	@$(MAKE) --no-print-directory $(B)/inlet
	@B=$(B) tools/spark.sh

test-trino: deps ## Trino, which Athena is made from, reads a lake in S3 and Glue (fetches its server, 821 MB)
	@$(MAKE) --no-print-directory $(B)/inlet
	@B=$(B) tools/trino.sh

.PHONY: lint
lint: deps ## clang without a warning; cppcheck, clang-tidy, gcc -fanalyzer find nothing (Debian packages, installed)
	@. tools/packages.sh; install_missing lint clang clang-tidy cppcheck
	@$(MAKE) --no-print-directory -s CC=clang B=build-clang build-clang/inlet
	@cppcheck -q --std=c11 --enable=warning,performance,portability --error-exitcode=1 --suppress=missingIncludeSystem \
	  --suppressions-list=tools/cppcheck.txt --include=tools/cppcheck.h -Isrc -j2 src
	@tools/lint.sh analyse
	@tools/lint.sh tidy
	@echo "lint: clang, cppcheck, gcc -fanalyzer and clang-tidy find nothing"
