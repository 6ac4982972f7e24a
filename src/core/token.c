
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Tokens: the mark by which what we gave out is known when it comes back.
 */


#include "core/core.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>


#define DF_TOKEN_KEY_LEN  64


static ngx_int_t df_token_key(EVP_MAC_CTX *ctx, const u_char *key,
    size_t len);
static EVP_MAC_CTX *df_token_context(void);
static ngx_int_t df_token_update(EVP_MAC_CTX *ctx, const ngx_str_t *piece);


ngx_int_t
df_token_mac(const u_char *key, size_t key_len, const ngx_str_t *pieces,
    ngx_uint_t n, u_char mac[DF_TOKEN_MAC_LEN])
{
    size_t        len;
    u_char        digest[EVP_MAX_MD_SIZE];
    ngx_uint_t    i;
    EVP_MAC_CTX  *ctx;

    ctx = df_token_context();

    if (ctx == NULL || df_token_key(ctx, key, key_len) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        if (df_token_update(ctx, &pieces[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (EVP_MAC_final(ctx, digest, &len, sizeof(digest)) != 1) {
        return NGX_ERROR;
    }

    ngx_memcpy(mac, digest, DF_TOKEN_MAC_LEN);

    return NGX_OK;
}


/* half of a short HMAC is its key: the last one stays in the context */

static ngx_int_t
df_token_key(EVP_MAC_CTX *ctx, const u_char *key, size_t len)
{
    static size_t  last_len;
    static u_char  last[DF_TOKEN_KEY_LEN];

    if (len && len == last_len && ngx_memcmp(key, last, len) == 0) {
        return EVP_MAC_init(ctx, NULL, 0, NULL) == 1 ? NGX_OK : NGX_ERROR;
    }

    if (EVP_MAC_init(ctx, key, len, NULL) != 1) {
        return NGX_ERROR;
    }

    last_len = 0;

    if (len <= DF_TOKEN_KEY_LEN) {
        ngx_memcpy(last, key, len);
        last_len = len;
    }

    return NGX_OK;
}


/* one for the process: looking HMAC up costs more than using it */

static EVP_MAC_CTX *
df_token_context(void)
{
    EVP_MAC     *hmac;
    OSSL_PARAM   params[2];

    static EVP_MAC_CTX  *ctx;

    if (ctx) {
        return ctx;
    }

    hmac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    if (hmac == NULL) {
        return NULL;
    }

    ctx = EVP_MAC_CTX_new(hmac);
    EVP_MAC_free(hmac);

    if (ctx == NULL) {
        return NULL;
    }

    params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
                                                 (char *) "SHA256", 0);
    params[1] = OSSL_PARAM_construct_end();

    if (EVP_MAC_CTX_set_params(ctx, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }

    return ctx;
}


/* the length goes first, so that "ab", "c" is not "a", "bc" */

static ngx_int_t
df_token_update(EVP_MAC_CTX *ctx, const ngx_str_t *piece)
{
    u_char      len[8];
    ngx_uint_t  i;

    for (i = 0; i < sizeof(len); i++) {
        len[i] = (u_char) ((uint64_t) piece->len >> (8 * i));
    }

    if (EVP_MAC_update(ctx, len, sizeof(len)) != 1
        || EVP_MAC_update(ctx, piece->data, piece->len) != 1)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}
