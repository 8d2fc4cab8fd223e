# Fuzzing: tests/fuzz has a harness for each parser. Their seeds and a few mutations run with the unit tests.
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_BINS := $(FUZZERS:%=$(B)/fuzz/%)
FUZZ_SECONDS ?= 60

$(B)/fuzz/%: tests/fuzz/%.c tests/fuzz/driver.c tests/fuzz/fuzz.h $(B)/libinlet.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -o $@ $< tests/fuzz/driver.c $(B)/libinlet.a $(LIBS)

# The same without driver.c: libFuzzer drives it (tools/fuzz.sh)
$(B)/libfuzzer/%: tests/fuzz/%.c tests/fuzz/fuzz.h $(B)/libinlet.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) -fsanitize=fuzzer -o $@ $< $(B)/libinlet.a $(LIBS)

.PHONY: fuzz libfuzzers
libfuzzers: $(FUZZERS:%=$(B)/libfuzzer/%)
fuzz: deps ## every parser fuzzed under ASan and UBSan (FUZZ_SECONDS=60 each, ONLY=fuzz_kpl; clang's libFuzzer, installed)
	@B=$(B) tools/fuzz.sh $(FUZZ_SECONDS) $(or $(ONLY),$(FUZZERS))
