# inlet: make help
SHELL := /bin/bash
CC ?= gcc
B ?= build
WARN := -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
        -Wcast-qual -Wwrite-strings -Wundef -Wvla -Werror
OPT ?= -O2 -g
SAN ?=
CFLAGS_ALL = -std=gnu17 -D_GNU_SOURCE -DXXH_INLINE_ALL -Isrc $(OPT) $(WARN) $(SAN) -fno-strict-aliasing -pthread -MMD -MP $(CFLAGS)
LIBS := -lcurl -lcrypto -ljansson -lzstd -lz -lxxhash -lsqlite3 -lyaml -lexpat -lmicrohttpd -lm -pthread
SRCS := $(shell find src -name '*.c' ! -path src/cli/main.c)
OBJS := $(SRCS:%.c=$(B)/obj/%.o)
UNITS := $(shell find tests/unit -name 'test_*.c' 2>/dev/null)
UNIT_BINS := $(UNITS:tests/unit/%.c=$(B)/unit/%)

.PHONY: all help deps docs demo bench bench-s3 test-s3 test unit test-e2e test-asan test-tsan install clean layers lint
all: $(B)/inlet

help: ## this list
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile tools/*.mk

deps: ## install what is missing (apt, Python packages into build/venv)
	@tools/deps.sh

$(B)/inlet: $(B)/obj/src/cli/main.o $(B)/libinlet.a
	$(CC) $(OPT) $(SAN) -o $@ $< $(B)/libinlet.a $(LIBS)

$(B)/libinlet.a: $(OBJS)
	@rm -f $@
	@$(AR) rcs $@ $(OBJS)

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -c -o $@ $<

$(B)/unit/%: tests/unit/%.c $(B)/libinlet.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -Itests/unit -o $@ $< $(B)/libinlet.a -lcmocka $(LIBS)

# What end-to-end tests drive: the store, signing and credentials by hand.
$(B)/aws_tool: tests/tools/aws_tool.c $(B)/libinlet.a
	$(CC) $(CFLAGS_ALL) -o $@ $< $(B)/libinlet.a $(LIBS)

include tools/fuzz.mk
unit: $(UNIT_BINS) $(FUZZ_BINS) ## the unit tests alone
	@tools/unit.sh $(UNIT_BINS) $(FUZZ_BINS)

layers: ## no include runs upwards; functions, files and paths are as they should be
	@tools/layers.sh && tools/style.sh

demo: deps ## a local stream of a million events into a lake, and readers over it
	@$(MAKE) --no-print-directory $(B)/inlet
	@tools/demo.sh

test: deps ## unit and end-to-end tests; the last line counts them
	@$(MAKE) --no-print-directory $(B)/inlet $(B)/aws_tool
	@B=$(B) tools/test.sh

.PHONY: test-rest
test-rest: deps ## the REST catalog's tests against Iceberg's own server (needs Java and Maven)
	@$(MAKE) --no-print-directory $(B)/inlet
	@B=$(B) tools/test_rest.sh

$(B)/bench/shred_bench: bench/shred_bench.c $(B)/libinlet.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -o $@ $< $(B)/libinlet.a $(LIBS)

.PHONY: bench-deps answers
bench-deps:
	@cmp -s bench/requirements.txt build/venv/.bench || { echo "bench: installing chdb and fastavro into build/venv"; build/venv/bin/python -m pip install -q --disable-pip-version-check -r bench/requirements.txt && cp bench/requirements.txt build/venv/.bench; }

answers: deps bench-deps ## the measurements behind the README's answers (ONLY=duplicates, SCALE=10)
	@$(MAKE) --no-print-directory $(B)/inlet
	@build/venv/bin/python bench/answers/run.py

bench: deps bench-deps ## inlet beside DuckDB, chdb and pyarrow on one core; where the time goes
	@$(MAKE) --no-print-directory $(B)/inlet $(B)/bench/shred_bench
	@build/venv/bin/python bench/bench.py

bench-s3: deps ## loading into S3 (the stand-in) beside a directory; requests and latency of a commit
	@$(MAKE) --no-print-directory $(B)/inlet
	@build/venv/bin/python bench/s3.py

docs: $(B)/inlet ## docs/configuration.md from the option table
	@INLET=$(B)/inlet tools/docs.sh

test-s3: deps ## the S3 tests against a real server: Ceph's radosgw, as root (Debian packages, installed)
	@. tools/packages.sh; install_missing test-s3 ceph-mon ceph-osd ceph-common radosgw
	@$(MAKE) --no-print-directory $(B)/inlet $(B)/aws_tool
	@INLET=$(CURDIR)/$(B)/inlet tests/standin/ceph.sh build/venv/bin/python -m pytest -q -p no:cacheprovider tests/e2e/test_s3_store.py tests/e2e/test_s3_lake.py

test-asan: deps ## the same suite under AddressSanitizer and UBSan
	@$(MAKE) --no-print-directory test B=build-asan OPT="-O1 -g" CFLAGS=-Wno-format-truncation SAN="-fsanitize=address,undefined -fno-sanitize-recover=all"

test-tsan: deps ## the unit and load tests under ThreadSanitizer
	@$(MAKE) --no-print-directory test B=build-tsan OPT="-O1 -g" CFLAGS=-Wno-format-truncation SAN="-fsanitize=thread"

include tools/aws.mk
include tools/checks.mk

PREFIX ?= /usr/local
install: $(B)/inlet ## copy the program to $(PREFIX)/bin
	install -D -m 755 $(B)/inlet $(DESTDIR)$(PREFIX)/bin/inlet

clean: ## remove what was built, not the venv
	rm -rf $(B)/obj $(B)/unit $(B)/inlet $(B)/libinlet.a

-include $(shell find $(B)/obj $(B)/unit $(B)/bench -type f -name '*.d' 2>/dev/null)
