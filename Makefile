# make         builds build/ngx_dataflow_module.so

SHELL     := /bin/bash
NGINX_SRC ?= /usr/share/nginx/src
CFLAGS    ?= -O2 -g
WARN      := -std=gnu11 -Wall -Wextra -Wno-unused-parameter -Werror

all: build/ngx_dataflow_module.so

build/Makefile: config
	cd $(NGINX_SRC) && { [ ! -f conf_flags ] || . ./conf_flags; } \
	&& ./configure "$${NGX_CONF_FLAGS[@]}" --with-compat \
	    --add-dynamic-module=$(CURDIR) --builddir=$(CURDIR)/build \
	    --with-cc-opt="$(CFLAGS) $(WARN)"

build/ngx_dataflow_module.so: build/Makefile FORCE
	$(MAKE) -C $(NGINX_SRC) -f $(CURDIR)/build/Makefile modules

.PHONY: all FORCE
