
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The few functions of nginx that parsers need, so that a fuzz target runs
 * without nginx.  They keep nginx's contracts, not its tricks: each piece of
 * a pool is a malloc() of exactly its size, so that ASan sees every byte too
 * far.  What a parser never calls (sockets, slabs, nginx.conf) aborts.
 */


#ifndef _NGX_SHIM_H_INCLUDED_
#define _NGX_SHIM_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* a pool whose log is silent; ngx_destroy_pool() frees it */
ngx_pool_t *ngx_shim_pool(void);

/* a property that must hold; the fuzzer takes an abort for a finding */
#define ngx_shim_check(condition)                                             \
    if (!(condition)) {                                                       \
        ngx_shim_failed(__FILE__, __LINE__, #condition);                      \
    }

void ngx_shim_failed(const char *file, int line, const char *condition);

/* what libFuzzer calls */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


#endif /* _NGX_SHIM_H_INCLUDED_ */
