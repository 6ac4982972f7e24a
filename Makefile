# make            builds build/ngx_dataflow_module.so
# make run        a shop to try: PostgreSQL, Redis, nginx on 127.0.0.1:8000
# make stop       stops what "make run" started
# make test       the test suite (JOBS=2, TESTS="t/20-*.t")
# make asan       the same under AddressSanitizer and UBSan
# make fuzz       every fuzz target (FUZZ_SECONDS=60)
# make bench      against pgbench, in turn, on servers of its own
# make lint       clang-tidy, cppcheck, style
# make install    into the distribution's nginx (DESTDIR)
#
# NGINX_SRC=DIR   an unpacked nginx, 1.22 to 1.31, instead of the headers of
#                 Debian's nginx-dev; "make static" needs it

SHELL      := /bin/bash
NGINX_SRC  ?= /usr/share/nginx/src
CFLAGS     ?= -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2
LDFLAGS    ?= -Wl,-z,relro -Wl,-z,now
PORT       ?= 8000
JOBS       ?= 2
TESTS      ?= t/*.t

WARN       := -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror
VERSION    := $(shell sed -n 's/^.define NGINX_VERSION *"\(.*\)"/\1/p' \
                  '$(NGINX_SRC)/src/core/nginx.h' 2>/dev/null)

# nginx's build scripts cannot take a blank in a path: go through a link

ROOT       := $(shell t/tools/root.sh)

STATIC     := build/nginx-$(VERSION)-static

ifneq ($(wildcard $(NGINX_SRC)/conf_flags),)
OUT        := build
TESTED      = $(MODULE)
TEST_ENV    = DATAFLOW_MODULE='$(CURDIR)/$(MODULE)'
else
OUT        := build/nginx-$(VERSION)
TESTED     := static
TEST_ENV    = DATAFLOW_NGINX='$(CURDIR)/$(STATIC)/nginx' DATAFLOW_MODULE=
endif

MODULE     := $(OUT)/ngx_dataflow_module.so

OPTIONS    := --with-compat --with-debug --with-threads \
              --with-http_ssl_module --with-http_v2_module

SOURCES    := ngx_dataflow_module.c config $(sort $(wildcard src/*/*.[ch]))
STATE      := $(SOURCES) $(NGINX_SRC) $(VERSION) $(CFLAGS) $(LDFLAGS) $(ROOT)

PARALLEL    = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
QUIET      := $(if $(V),,-s)


all: $(MODULE)


# nginx's makefile has flags of its own: variables given to make stay here

$(MODULE) static: MAKEOVERRIDES =

# configured anew when a file comes or goes, or flags or nginx change

$(OUT)/state $(STATIC)/state: FORCE
	@mkdir -p $(@D)
	@cmp -s $@ - <<< '$(STATE)' || cat > $@ <<< '$(STATE)'

$(OUT)/Makefile: $(OUT)/state config $(NGINX_SRC)/src/core/nginx.h
	@rm -rf $(OUT)/addon
	@t/tools/configure.sh '$(NGINX_SRC)' '$(ROOT)/$(OUT)' \
	    --add-dynamic-module='$(ROOT)' $(OPTIONS) \
	    --with-cc-opt='$(CFLAGS) $(WARN)' --with-ld-opt='$(LDFLAGS)'

$(MODULE): $(OUT)/Makefile FORCE
	@$(MAKE) $(QUIET) $(PARALLEL) --no-print-directory -C '$(NGINX_SRC)' \
	    -f '$(ROOT)/$(OUT)/Makefile' modules

$(STATIC)/Makefile: $(STATIC)/state config $(NGINX_SRC)/src/core/nginx.h
	@rm -rf $(STATIC)/addon
	@t/tools/configure.sh '$(NGINX_SRC)' '$(ROOT)/$(STATIC)' \
	    --add-module='$(ROOT)' $(OPTIONS) \
	    --with-cc-opt='$(CFLAGS) $(WARN)' --with-ld-opt='$(LDFLAGS)'

static: $(STATIC)/Makefile $(NGINX_SRC)/src/core/nginx.c
	@$(MAKE) $(QUIET) $(PARALLEL) --no-print-directory -C '$(NGINX_SRC)' \
	    -f '$(ROOT)/$(STATIC)/Makefile' binary
	@echo "built $(STATIC)/nginx"

$(NGINX_SRC)/src/core/nginx.c:
	@echo "no full nginx source in $(NGINX_SRC): say NGINX_SRC=DIR" >&2; exit 1

$(NGINX_SRC)/src/core/nginx.h:
	@echo "no nginx sources in $(NGINX_SRC): install nginx-dev" \
	      "(or: make run) or say NGINX_SRC=DIR" >&2; exit 1


run:
	@t/tools/packages.sh build run
	@$(MAKE) --no-print-directory build/ngx_dataflow_module.so \
	    NGINX_SRC=/usr/share/nginx/src
	@PORT=$(PORT) t/tools/shop.sh start

stop:
	@t/tools/shop.sh stop


test:
	@t/tools/packages.sh build run test
	@$(MAKE) --no-print-directory $(TESTED) build/noblock.so
	@$(TEST_ENV) t/tools/test.pl -j$(JOBS) $(TESTS)


# nginx and the module in one binary, without nginx's own memory pools, so
# that every allocation is watched; its source comes from Debian's package.
# nginx itself copies nothing from NULL, which is left unwatched.

SANITIZE   := -fsanitize=address,undefined -fno-sanitize=nonnull-attribute
SOURCE     := $(if $(filter /usr/share/nginx/src,$(NGINX_SRC)),$(ROOT)/build/source/nginx,$(abspath $(NGINX_SRC)))

asan:
	@t/tools/packages.sh build run test asan
	@[ '$(SOURCE)' != '$(ROOT)/build/source/nginx' ] \
	    || t/tools/nginx-source.sh build/source
	@$(MAKE) --no-print-directory static STATIC=build/asan \
	    NGINX_SRC='$(SOURCE)' LDFLAGS='$(SANITIZE)' \
	    CFLAGS='-O1 -g -fno-omit-frame-pointer $(SANITIZE)' \
	    WARN='-std=gnu11 -Wno-error -DNGX_DEBUG_PALLOC=1'
	@DATAFLOW_NGINX='$(CURDIR)/build/asan/nginx' DATAFLOW_MODULE= \
	    DATAFLOW_NOBLOCK=0 ASAN_OPTIONS=detect_stack_use_after_return=1 \
	    LSAN_OPTIONS=print_suppressions=0:suppressions=t/lib/lsan.supp \
	    UBSAN_OPTIONS=print_stacktrace=1 t/tools/test.pl -j$(JOBS) $(TESTS)


build/noblock.so: t/lib/noblock.c
	@mkdir -p build
	@$(CC) -std=gnu11 -Wall -Wextra -Werror -O2 -g -fPIC -shared \
	    -o $@ $< -ldl


bench:
	@t/tools/packages.sh build run test bench
	@$(MAKE) --no-print-directory $(TESTED)
	@$(TEST_ENV) t/bench/run.pl


# without nginx: each t/fuzz/fuzz_NAME.c with what it needs of the parsers

INCLUDES   := $(addprefix -isystem $(NGINX_SRC)/src/,core event os/unix http \
                  http/modules http/v2) -isystem $(OUT) -Isrc \
              -isystem $(shell pkg-config --variable=includedir libpq)

FUZZ_CC    := clang -std=gnu11 -g -O1 -fno-omit-frame-pointer \
              -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ       := $(patsubst t/fuzz/fuzz_%.c,build/fuzz/%,$(wildcard \
                  t/fuzz/fuzz_*.c))
FUZZ_SRCS  := $(wildcard t/fuzz/ngx_shim*.c src/core/*.c src/schema/*.c \
                  src/query/*.c)
FUZZ_OBJS  := $(patsubst %.c,build/fuzz/obj/%.o,$(FUZZ_SRCS))
FUZZ_SECONDS ?= 60

fuzz:
	@t/tools/packages.sh build fuzz
	@$(MAKE) --no-print-directory $(PARALLEL) $(FUZZ)
	@t/tools/fuzz.sh $(FUZZ_SECONDS) $(FUZZ)

$(FUZZ): build/fuzz/%: t/fuzz/fuzz_%.c build/fuzz/leaves.a
	@$(FUZZ_CC) -fsanitize=fuzzer $(INCLUDES) -It/fuzz -o $@ $^ \
	    -lcjson -lpq -lcrypto

build/fuzz/leaves.a: $(FUZZ_OBJS)
	@rm -f $@ && ar rc $@ $^

$(FUZZ_OBJS): build/fuzz/obj/%.o: %.c $(wildcard src/*/*.h t/fuzz/*.h) \
              $(OUT)/Makefile
	@mkdir -p $(@D)
	@$(FUZZ_CC) -fsanitize=fuzzer-no-link $(INCLUDES) -It/fuzz -c -o $@ $<


lint: style cppcheck tidy

style:
	@t/tools/style.pl ngx_dataflow_module.c src/*/*.[ch] \
	    $(wildcard t/*/*.[ch] t/*/*.p[lm] t/*/*/*.pm t/*/*.sh t/*.t) conf/*

cppcheck:
	@t/tools/packages.sh lint
	@cppcheck -q --std=c11 --enable=warning,performance,portability \
	    --inline-suppr --suppress=autoVariables --error-exitcode=1 -Isrc \
	    ngx_dataflow_module.c src

tidy: $(OUT)/Makefile
	@t/tools/packages.sh build lint
	@printf '%s\n' ngx_dataflow_module.c src/*/*.c \
	    | xargs -P$(JOBS) -n4 sh -c 'clang-tidy --quiet "$$@" -- \
	        -std=gnu11 $(INCLUDES) 2>/dev/null' clang-tidy


# beside the modules of the distribution, and switched on where Debian's
# nginx.conf looks for modules

MODULES_DIR = $(shell PATH=$$PATH:/usr/sbin nginx -V 2>&1 \
                  | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
AVAILABLE  := /usr/share/nginx/modules-available/mod-dataflow.conf
ENABLED    := /etc/nginx/modules-enabled/50-mod-dataflow.conf

install: $(MODULE)
	install -D -m 644 $(MODULE) \
	    '$(DESTDIR)$(MODULES_DIR)/ngx_dataflow_module.so'
	@[ ! -d $(dir $(ENABLED)) ] || { set -e; \
	    echo "enabling it in $(DESTDIR)$(ENABLED)"; \
	    mkdir -p '$(DESTDIR)$(dir $(AVAILABLE))' \
	        '$(DESTDIR)$(dir $(ENABLED))'; \
	    echo 'load_module modules/ngx_dataflow_module.so;' \
	        > '$(DESTDIR)$(AVAILABLE)'; \
	    ln -sf $(AVAILABLE) '$(DESTDIR)$(ENABLED)'; }

clean:
	rm -rf build


.PHONY: all static run stop test asan bench fuzz lint style cppcheck tidy \
        install clean FORCE
