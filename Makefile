# Hearth: `make help` lists what there is. One non-recursive file; objects of each flavour
# live in build/<flavour>, so that switching between them rebuilds nothing.

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
CLANG   ?= clang-14
BUILD   ?= release
SAN     ?=
WERROR  ?=
V       ?=
Q       := $(if $(V),,@)
OUT     ?= build
B       := $(OUT)/$(BUILD)$(if $(SAN),-$(SAN))

PKGS    := jansson libutf8proc libedit libmicrohttpd yaml-0.1 sqlite3 libcurl
OPT     := -O2 -g -fno-math-errno
WARN    := -Wall -Wextra -Wshadow -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes \
           -Wwrite-strings -Wpointer-arith -Wdouble-promotion -Wformat=2
SANFLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANFLAGS_tsan := -fsanitize=thread
SANFLAGS_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all \
                 -fno-omit-frame-pointer

DIALECT    := -std=c17 -D_GNU_SOURCE -Isrc -Iinclude
ALL_CFLAGS = $(DIALECT) $(OPT) $(WARN) $(if $(WERROR),-Werror) \
             -fvisibility=hidden -pthread $(SANFLAGS_$(SAN)) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread -Wl,--as-needed $(SANFLAGS_$(SAN)) $(LDFLAGS)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS       := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lm

# The end of a file's name says which instructions it may use: mul_avx2.c, ref.c, ...
# -ffp-contract=off: float results are what the source says, on every compiler; kernels that
# fuse do so by intrinsics. -Wno-psabi: vectors wider than the tier's registers are passed
# between functions that are inlined, so no calling convention is concerned.
ISA_avx2       := -mavx2 -mfma -mf16c
ISA_avxvnni    := $(ISA_avx2) -mavxvnni
ISA_avx512vnni := $(ISA_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni \
                  -mprefer-vector-width=512
# gcc would move all loads of an unrolled loop to its front and run out of registers.
ISA_dotprod    := -march=armv8.2-a+dotprod -fno-schedule-insns
ISA_i8mm       := -march=armv8.2-a+dotprod+i8mm -fno-schedule-insns
# Of the avxvnni tier's product in a test: the same instruction, as other processors code it.
ISA_evex       := $(ISA_avx2) -mavx512f -mavx512vl -mavx512vnni -mprefer-vector-width=256
# Where sizes come from outside, every change of width is written down.
outside         = $(filter src/fmt/% src/net/% src/text/% src/model/hf/% src/store/% src/gate/% src/serve/%,$1)
STRICT         := -Wconversion
STRICT_TIDY    := --checks=bugprone-implicit-widening-of-multiplication-result
per_file = -ffp-contract=off $(ISA_$(lastword $(subst _, ,$(basename $(notdir $1))))) \
           $(if $(filter src/kern/% $(KERN_AID),$1),-O3 -Wno-psabi) \
           $(if $(call outside,$1),$(STRICT))

find_c   = $(shell find $1 -name '$2' 2>/dev/null | LC_ALL=C sort)
# Kernels of another processor are left out; the reference tier runs everywhere.
CPU      := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))
TIERS_x86_64  := avx2 avxvnni avx512vnni
TIERS_aarch64 := dotprod i8mm
TIERS    := $(TIERS_$(CPU))
KERN_OF  := $(if $(TIERS),src/kern/$(patsubst aarch64,arm,$(patsubst x86_64,x86,$(CPU)))/%)
SRC      := $(call find_c,src,*.c)
SRC      := $(filter-out $(filter-out $(KERN_OF),src/kern/x86/% src/kern/arm/%),$(SRC))
CMD_SRC  := $(filter src/cmd/%,$(SRC))
# The library that is installed is the engine; what is around it is linked into the program.
APP_SRC  := $(filter src/net/% src/store/% src/gate/% src/serve/%,$(SRC))
LIB_SRC  := $(filter-out $(CMD_SRC) $(APP_SRC),$(SRC))
LIB      := $(B)/libhearth.a
APP      := $(B)/libapp.a
BIN      := $(B)/hearth
OBJ      := $(SRC:%.c=$(B)/%.o)

# Tests: test_*.c are cmocka programs; fuzz targets replay their corpus; other C files beside
# shell tests are programs that those use; lib*.sh are sourced by the others.
UNIT_SRC := $(call find_c,tests/unit tests/kern tests/fault tests/golden,test_*.c)
UNIT     := $(UNIT_SRC:%.c=$(B)/%)
FUZZ_SRC := $(filter-out tests/fuzz/replay_main.c,$(wildcard tests/fuzz/*.c))
FUZZERS  := $(FUZZ_SRC:%.c=$(B)/%)
# What the kernels' tests share.
KERN_AID := $(if $(filter x86_64,$(CPU)),tests/kern/mul_evex.c)
BENCH_SRC := $(filter-out bench/roof_%.c bench/text%.c,$(wildcard bench/*.c)) $(TIERS:%=bench/roof_%.c)
TEXT_BENCH_SRC := $(wildcard bench/text*.c)
AID_SRC  := $(filter-out $(UNIT_SRC),$(wildcard tests/cli/*.c tests/golden/*.c))
AIDS     := $(AID_SRC:%.c=$(B)/%)
SCRIPTS  := $(filter-out $(wildcard tests/*/lib*.sh),$(wildcard tests/*/*.sh))
C_FILES  := $(SRC) $(UNIT_SRC) $(FUZZ_SRC) $(AID_SRC) $(KERN_AID) $(BENCH_SRC) $(TEXT_BENCH_SRC) tests/fuzz/replay_main.c

# Recipes that call make again use all cores, unless the caller said how many.
JOBS = $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
SUB  = $(MAKE) --no-print-directory $(JOBS)

.PHONY: all
all: $(BIN)  ## build the program, build/release/hearth (the default)

.PHONY: lib
lib: $(LIB)  ## build the library, build/release/libhearth.a

$(BIN): $(CMD_SRC:%.c=$(B)/%.o) $(APP) $(LIB) $(B)/parts
	@echo "  ld $@"
	$(Q)$(CC) -o $@ $(CMD_SRC:%.c=$(B)/%.o) $(APP) $(LIB) $(ALL_LDFLAGS) $(LIBS)

$(LIB): $(LIB_SRC:%.c=$(B)/%.o) $(B)/parts
$(APP): $(APP_SRC:%.c=$(B)/%.o) $(B)/parts
$(LIB) $(APP):
	@echo "  ar $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $(filter %.o,$^)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D); echo "  cc $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(call per_file,$<) -MMD -MP -c -o $@ $<

# With libFuzzer its own main drives the target, without it the replay main does.
ifeq ($(SAN),fuzz)
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(APP) $(LIB)
	@echo "  ld $@"
	$(Q)$(CC) -o $@ $< $(APP) $(LIB) $(ALL_LDFLAGS) -fsanitize=fuzzer $(LIBS)
else
$(B)/tests/fuzz/%: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay_main.o $(APP) $(LIB)
	@echo "  ld $@"
	$(Q)$(CC) -o $@ $< $(B)/tests/fuzz/replay_main.o $(APP) $(LIB) $(ALL_LDFLAGS) $(LIBS)
endif

# Tests of commands link the commands' objects, all but the one with main().
$(B)/tests/unit/cmd/%: $(B)/tests/unit/cmd/%.o $(CMD_SRC:%.c=$(B)/%.o) $(APP) $(LIB)
	@echo "  ld $@"
	$(Q)$(CC) -o $@ $(filter-out %/cmd/main.o,$(filter %.o %.a,$^)) $(ALL_LDFLAGS) $(LIBS) -lcmocka

$(filter $(B)/tests/kern/%,$(UNIT)): $(KERN_AID:%.c=$(B)/%.o)
$(B)/tests/%: $(B)/tests/%.o $(APP) $(LIB)
	@echo "  ld $@"
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(ALL_LDFLAGS) $(LIBS) -lcmocka

# Objects depend on the flags they were built with, and nothing is built before the libraries
# are there: a missing header would name a file, not the package.
$(B)/flags: FORCE
	@pkg-config --exists $(PKGS) || \
	 { echo "libraries are missing ($(PKGS)); this installs them: tools/setup build" >&2; exit 1; }
	@$(call stamp,$(CC) $(ALL_CFLAGS) $(foreach t,$(TIERS),$(ISA_$t)) $(STRICT))

# What is linked depends on what it is linked from: a source that is gone is gone from there.
$(B)/parts: FORCE
	@$(call stamp,$(ALL_LDFLAGS) $(LIBS) $(SRC))
stamp = mkdir -p $(@D); echo '$1' >$@.new; cmp -s $@.new $@ || mv $@.new $@; rm -f $@.new
.PHONY: FORCE
FORCE:
.SECONDARY:

# -- running -----------------------------------------------------------------------------

MODEL  ?= $(wildcard ../shared/models/stories260k.gguf)
PROMPT ?= Once upon a time
ARGS   ?=
# As the caller wrote it: a dollar sign in a prompt is a dollar sign.
export HEARTH_RUN_PROMPT := $(value PROMPT)

.PHONY: run
run:  ## complete a text: make run MODEL=file.gguf PROMPT="Once upon a time" [ARGS=--verbose]
	@tools/setup build >&2
	@$(SUB) all >&2
	@test -n "$(MODEL)" || { echo 'which model? make run MODEL=path/to/model.gguf PROMPT="..."' >&2; exit 2; }
	@$(BIN) run "$(MODEL)" $(ARGS) -- "$$HEARTH_RUN_PROMPT" </dev/null

.PHONY: bench
bench:  ## measure a model: make bench MODEL=file.gguf [ARGS="-p 512 -n 128 -r 5"]
	@tools/setup build >&2
	@$(SUB) all >&2
	@test -n "$(MODEL)" || { echo 'which model? make bench MODEL=path/to/model.gguf' >&2; exit 2; }
	@$(BIN) bench "$(MODEL)" $(ARGS)

PEER ?=

.PHONY: compare
compare:  ## measure beside another engine: make compare PEER=path/to/llama-bench MODEL=file.gguf
	@tools/setup build >&2
	@$(SUB) all >&2
	@test -n "$(PEER)" || { echo 'beside whom? make compare PEER=path/to/llama-bench MODEL=file.gguf' >&2; exit 2; }
	@test -n "$(MODEL)" || { echo 'which model? make compare PEER=path/to/llama-bench MODEL=file.gguf' >&2; exit 2; }
	@HEARTH=$(BIN) bench/compare "$(PEER)" "$(MODEL)" $(ARGS)

.PHONY: bench-kernels
bench-kernels:  ## measure kernels: make bench-kernels [ARGS="[--columns] mul avx2 q4_k"]
	@tools/setup build >&2
	@$(SUB) $(B)/bench/kernels >&2
	@$(B)/bench/kernels $(ARGS)

$(B)/bench/kernels: $(BENCH_SRC:%.c=$(B)/%.o) $(LIB)
	@echo "  ld $@"
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(ALL_LDFLAGS) $(LIBS)

.PHONY: bench-text
bench-text:  ## measure tokenizers: make bench-text [PEER=program] [ARGS="tok llama-bpe"]
	@tools/setup build >&2
	@$(SUB) $(B)/bench/text >&2
	@PEER="$(PEER)" $(B)/bench/text $(ARGS)

$(B)/bench/text: $(TEXT_BENCH_SRC:%.c=$(B)/%.o) $(LIB)
	@echo "  ld $@"
	$(Q)$(CC) -o $@ $(filter %.o %.a,$^) $(ALL_LDFLAGS) $(LIBS)

# -- tests -------------------------------------------------------------------------------

T       ?=
TESTS   := $(UNIT) $(FUZZERS) $(SCRIPTS)
CHOSEN   = $(if $(T),$(foreach t,$(TESTS),$(if $(findstring $(T),$t),$t)),$(TESTS))

.PHONY: unit
unit: $(UNIT) $(FUZZERS) $(AIDS) $(B)/bench/kernels $(B)/bench/text  ## build the test programs, run none

.PHONY: test
test:  ## run all tests [T=part of a name]; SAN=asan or SAN=tsan with a sanitizer
	@tools/setup test
	@$(SUB) all unit
	@HEARTH=$(BIN) tests/run $(CHOSEN)

.PHONY: fuzz-replay
fuzz-replay:  ## run every fuzz target over its stored inputs
	@tools/setup test
	@$(SUB) $(FUZZERS)
	@tests/run $(FUZZERS)

FUZZ      ?=
FUZZ_TIME ?= 20

.PHONY: fuzz
fuzz:  ## search for crashes with libFuzzer [FUZZ=target] [FUZZ_TIME=20 seconds each]
	@tools/setup check
	@$(SUB) CC=$(CLANG) SAN=fuzz BUILD=clang fuzzers
	@tools/fuzz $(OUT)/clang-fuzz/tests/fuzz $(FUZZ_TIME) $(if $(FUZZ),$(FUZZ),$(FUZZ_SRC:tests/fuzz/%.c=%))

.PHONY: fuzzers
fuzzers: $(FUZZERS)

# -- another processor ---------------------------------------------------------------------

# Arm's libraries come from Debian into a folder of their own; an emulator runs the programs: a
# processor of each kind that the table of tiers knows, a tier only with what it brings.
# Emulated time says nothing of speed.
ARM      := aarch64-linux-gnu
ARM_OUT  := $(abspath $(OUT))/arm
ARM_ROOT := $(ARM_OUT)/sysroot
ARM_LIB  := $(ARM_ROOT)/usr/lib/$(ARM)
ARM_MAKE  = PKG_CONFIG_SYSROOT_DIR=$(ARM_ROOT) PKG_CONFIG_LIBDIR=$(ARM_LIB)/pkgconfig $(SUB) \
            OUT=$(ARM_OUT) CC=$(ARM)-gcc AR=$(ARM)-ar CLANG="$(CLANG) --target=$(ARM)" WERROR=1 \
            CFLAGS="-isystem $(ARM_ROOT)/usr/include" \
            LDFLAGS="-L$(ARM_LIB) -Wl,--allow-shlib-undefined -Wl,--disable-new-dtags,-rpath,$(ARM_LIB),-rpath,$(ARM_ROOT)/lib/$(ARM)"
ARM_TEST  = tests/run -t 900 -e "qemu-aarch64 -L /usr/$(ARM) -cpu
ARM_BIN   = $(ARM_OUT)/release/tests
ARM_KERN  = $(patsubst tests/%.c,$(ARM_BIN)/%,$(filter tests/kern/%,$(UNIT_SRC)))

.PHONY: cross-arm
cross-arm:  ## build for 64-bit Arm, and run the kernels' tests in an emulator
	@tools/setup arm
	@tools/sysroot $(ARM_ROOT)
	@$(ARM_MAKE) all unit
	@$(ARM_MAKE) check-headers check-clang
	@TEST_BEST_TIER=ref $(ARM_TEST) cortex-a72" $(ARM_BIN)/kern/test_tiers
	@TEST_BEST_TIER=dotprod TEST_TIER=dotprod $(ARM_TEST) cortex-a76" $(ARM_KERN)
	@TEST_BEST_TIER=i8mm TEST_TIER=i8mm $(ARM_TEST) max" $(filter %/test_mul %/test_tiers,$(ARM_KERN))

# -- checks ------------------------------------------------------------------------------

CHECKS := format layers headers symbols banned docs clang tidy cppcheck

.PHONY: check
check:  ## formatting, layers, names, compilers' and analysers' warnings
	@tools/setup check
	@$(SUB) WERROR=1 all unit
	@$(SUB) --output-sync WERROR=1 $(CHECKS:%=check-%)
	@echo "check: all fine"

.PHONY: $(CHECKS:%=check-%)
check-format:
	@echo "  check format"; git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run -Werror

check-headers: export ISA_avx2 := $(ISA_avx2)
check-headers: export ISA_avxvnni := $(ISA_avxvnni)
check-headers: export ISA_avx512vnni := $(ISA_avx512vnni)
check-headers: export ISA_dotprod := $(ISA_dotprod)
check-headers: export ISA_i8mm := $(ISA_i8mm)
check-layers check-headers check-banned check-docs: check-%:
	@echo "  check $*"; tools/check-$*

check-symbols: $(OBJ)
	@echo "  check symbols"; tools/check-symbols $(B)

# The second compiler's opinion; each file with the flags that it is built with.
check-clang: $(C_FILES:%.c=$(OUT)/check/%.clang)
check-tidy: $(SRC:%.c=$(OUT)/check/%.tidy)

$(OUT)/check/%.clang: %.c $(B)/%.o
	@mkdir -p $(@D); echo "  clang $<"
	$(Q)$(CLANG) -Werror $(DIALECT) $(OPT) $(WARN) $(PKG_CFLAGS) $(filter-out -fno-schedule-insns,$(call per_file,$<)) -fsyntax-only $<
	@touch $@

# Headers are checked through the files that include them; a file is looked at again when it
# or a header of it changed, which its object's age tells.
$(OUT)/check/%.tidy: %.c $(B)/%.o .clang-tidy tools/analyser.h
	@mkdir -p $(@D); echo "  tidy $<"
	$(Q)clang-tidy-14 --quiet --warnings-as-errors='*' $(if $(call outside,$<),$(STRICT_TIDY)) $< -- \
	   $(DIALECT) $(OPT) $(PKG_CFLAGS) $(call per_file,$<) -w \
	   $(if $(filter %/err.c,$<),,-include base/err.h -include tools/analyser.h) >$@.log 2>&1 || { cat $@.log; exit 1; }
	@mv $@.log $@

check-cppcheck:
	@echo "  cppcheck src"; mkdir -p $(OUT)/check/cppcheck
	$(Q)cppcheck --quiet --enable=warning,portability,performance --inline-suppr \
	   --error-exitcode=1 --std=c11 -j2 --cppcheck-build-dir=$(OUT)/check/cppcheck \
	   --suppressions-list=tools/cppcheck-suppress -Isrc -Iinclude -D__x86_64__ $(sort $(dir $(SRC)))

# -- installing --------------------------------------------------------------------------

PREFIX  ?= /usr/local
DESTDIR ?=
VERSION := $(shell sed -n 's/^.define HEARTH_VERSION "\(.*\)"/\1/p' include/hearth.h)
MAN     := $(patsubst docs/man/%.scd,%,$(wildcard docs/man/*.scd))
MAN_OUT := $(if $(shell command -v scdoc 2>/dev/null),$(MAN:%=$(OUT)/man/%))

.PHONY: man
man: $(MAN:%=$(OUT)/man/%)  ## build the manual pages (needs scdoc)

$(OUT)/man/%: docs/man/%.scd
	@mkdir -p $(@D); echo "  scdoc $<"
	$(Q)scdoc <$< >$@.new && mv $@.new $@

.PHONY: install
install: all lib $(MAN_OUT)  ## install below PREFIX=/usr/local, staged in DESTDIR
	tools/install "$(DESTDIR)" "$(PREFIX)" $(BIN) $(LIB) $(VERSION) $(MAN_OUT)

.PHONY: uninstall
uninstall:  ## remove what install put there
	tools/uninstall "$(DESTDIR)" "$(PREFIX)" $(MAN)

.PHONY: clean
clean:  ## remove all that was built
	rm -rf $(OUT)

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

-include $(C_FILES:%.c=$(B)/%.d)
