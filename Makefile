# Hearth: `make help` lists what there is. One non-recursive file; objects of each flavour
# live in build/<flavour>, so that switching between them rebuilds nothing.

CC      ?= gcc
ifeq ($(origin CC),default)
CC      := gcc
endif
BUILD   ?= release
SAN     ?=
WERROR  ?=
V       ?=
Q       := $(if $(V),,@)
OUT     ?= build
B       := $(OUT)/$(BUILD)$(if $(SAN),-$(SAN))

PKGS    := jansson libutf8proc libedit
OPT     := -O2 -g -fno-math-errno
WARN    := -Wall -Wextra -Wshadow -Wundef -Wvla -Wstrict-prototypes -Wmissing-prototypes \
           -Wwrite-strings -Wpointer-arith -Wdouble-promotion -Wformat=2
SANFLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
SANFLAGS_tsan := -fsanitize=thread

ALL_CFLAGS = -std=c17 -D_GNU_SOURCE -Isrc -Iinclude -Itests/kern $(OPT) $(WARN) $(if $(WERROR),-Werror) \
             -fvisibility=hidden -pthread $(SANFLAGS_$(SAN)) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread $(SANFLAGS_$(SAN)) $(LDFLAGS)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS       := $(shell pkg-config --libs $(PKGS) 2>/dev/null || echo -ljansson -lutf8proc -ledit) -lm

# The end of a file's name says which instructions it may use: matmul_avx2.c, ref.c, ...
# -ffp-contract=off: float results are what the source says, on every compiler; kernels that
# fuse do so by intrinsics.
ISA_avx2       := -mavx2 -mfma -mf16c
ISA_avx512vnni := $(ISA_avx2) -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni \
                  -mprefer-vector-width=512
isa = -ffp-contract=off $(ISA_$(lastword $(subst _, ,$(basename $(notdir $1))))) \
      $(if $(filter src/kern/%,$1),-O3)

SRC      := $(shell find src -name '*.c' | LC_ALL=C sort)
CMD_SRC  := $(filter src/cmd/%,$(SRC))
LIB_SRC  := $(filter-out src/cmd/%,$(SRC))
LIB      := $(B)/libhearth.a
BIN      := $(B)/hearth
UNIT_SRC := $(shell find tests/unit tests/kern -name 'test_*.c' 2>/dev/null | LC_ALL=C sort)
UNIT     := $(UNIT_SRC:%.c=$(B)/%)

.PHONY: all
all: $(BIN)

$(BIN): $(CMD_SRC:%.c=$(B)/%.o) $(LIB)
	@echo "  ld $@"
	$(Q)$(CC) -o $@ $(CMD_SRC:%.c=$(B)/%.o) $(LIB) $(ALL_LDFLAGS) $(LIBS)

$(LIB): $(LIB_SRC:%.c=$(B)/%.o)
	@echo "  ar $@"
	$(Q)rm -f $@ && ar rcs $@ $^

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D); echo "  cc $<"
	$(Q)$(CC) $(ALL_CFLAGS) $(call isa,$<) -MMD -MP -c -o $@ $<

$(B)/tests/%: $(B)/tests/%.o $(LIB)
	@echo "  ld $@"
	$(Q)$(CC) -o $@ $< $(LIB) $(ALL_LDFLAGS) $(LIBS) -lcmocka

# Objects depend on the flags they were built with.
$(B)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(ALL_CFLAGS)' >$@.new; \
	 cmp -s $@.new $@ || mv $@.new $@; rm -f $@.new
.PHONY: FORCE
FORCE:
.SECONDARY:

.PHONY: unit
unit: $(UNIT)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
