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
CFLAGS     ?= -O2 -g
PORT       ?= 8000
JOBS       ?= 2
TESTS      ?= t/*.t

WARN       := -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror
VERSION    := $(shell sed -n 's/^.define NGINX_VERSION *"\(.*\)"/\1/p' \
                  '$(NGINX_SRC)/src/core/nginx.h' 2>/dev/null)

# nginx's build scripts cannot take a blank in a path: go through a link

ROOT       := $(shell t/tools/root.sh)

ifneq ($(wildcard $(NGINX_SRC)/conf_flags),)
OUT        := build
else
OUT        := build/nginx-$(VERSION)
endif

MODULE     := $(OUT)/ngx_dataflow_module.so
STATIC     := build/nginx-$(VERSION)-static

OPTIONS    := --with-compat --with-debug --with-threads \
              --with-http_ssl_module --with-http_v2_module

SOURCES    := ngx_dataflow_module.c config $(sort $(wildcard src/*/*.[ch]))
STATE      := $(SOURCES) $(NGINX_SRC) $(VERSION) $(CFLAGS) $(LDFLAGS) $(ROOT)

PARALLEL    = $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(shell nproc))
QUIET      := $(if $(V),,-s)


all: $(MODULE)


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

static: $(STATIC)/Makefile
	@$(MAKE) $(QUIET) $(PARALLEL) --no-print-directory -C '$(NGINX_SRC)' \
	    -f '$(ROOT)/$(STATIC)/Makefile' binary
	@echo "built $(STATIC)/nginx"

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
	@$(MAKE) --no-print-directory $(MODULE) build/noblock.so
	@DATAFLOW_MODULE='$(CURDIR)/$(MODULE)' t/tools/test.pl -j$(JOBS) $(TESTS)

build/noblock.so: t/lib/noblock.c
	@mkdir -p build
	@$(CC) $(WARN) -O2 -g -fPIC -shared -o $@ $< -ldl

clean:
	rm -rf build


.PHONY: all static run stop test clean FORCE
