
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * core: what every other folder stands on.  Nothing here knows of HTTP, of
 * PostgreSQL or of models.
 */


#ifndef _DF_CORE_H_INCLUDED_
#define _DF_CORE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <cjson/cJSON.h>


/*
 * nginx opens modules with RTLD_GLOBAL, so whatever a module exports may
 * capture another module's calls.  Every header puts its declarations
 * between these two and only ngx_dataflow_*_module is visible outside.
 */

#define DF_HIDDEN_BEGIN  _Pragma("GCC visibility push(hidden)")
#define DF_HIDDEN_END    _Pragma("GCC visibility pop")


DF_HIDDEN_BEGIN


/* writer: text into growing memory of a pool */

/*
 * A writer appends to memory of its pool.  A contiguous writer moves its text
 * when it grows, a chained one keeps what is written and continues in a new
 * buffer, which is what an answer of unknown length wants.  The memory belongs
 * to the pool; a writer itself needs no cleanup.
 */

typedef struct {
    u_char        *start;
    u_char        *pos;
    u_char        *end;
    ngx_pool_t    *pool;
    ngx_chain_t   *out;         /* closed buffers of a chained writer */
    ngx_chain_t  **last;
    off_t          closed;      /* bytes in closed buffers */
    size_t         chunk;       /* size of the next buffer */
    unsigned       chained:1;
    unsigned       failed:1;    /* without memory: its text is not whole */
} df_writer_t;


ngx_int_t df_writer_init(df_writer_t *w, ngx_pool_t *pool, size_t size);
ngx_int_t df_writer_init_chained(df_writer_t *w, ngx_pool_t *pool,
    size_t size);

/* room for n more bytes in one piece: 0 on success, NGX_ERROR without memory */
ngx_int_t df_writer_grow(df_writer_t *w, size_t n);

ngx_int_t df_writer_add(df_writer_t *w, const void *data, size_t len);
ngx_int_t df_writer_printf(df_writer_t *w, const char *fmt, ...);

/* what was written; NUL-terminated, the NUL is not counted (contiguous only);
   NGX_ERROR when anything did not fit before, so that a long text need not be
   checked piece by piece */
ngx_int_t df_writer_text(df_writer_t *w, ngx_str_t *text);

/* closes the writer: all buffers, the last marked last_buf and last_in_chain
   only by the caller; NULL when nothing was written or without memory */
ngx_chain_t *df_writer_close(df_writer_t *w);


static ngx_inline ngx_int_t
df_writer_reserve(df_writer_t *w, size_t n)
{
    if ((size_t) (w->end - w->pos) >= n) {
        return NGX_OK;
    }

    return df_writer_grow(w, n);
}


static ngx_inline off_t
df_writer_length(df_writer_t *w)
{
    return w->closed + (w->pos - w->start);
}


/* text in a pool */

/* NUL-terminated copy; the NUL is not counted */
ngx_int_t df_str_copy(ngx_pool_t *pool, ngx_str_t *dst, const u_char *data,
    size_t len);
/* ngx_sprintf's formats; NUL-terminated; an empty string without memory */
ngx_str_t df_str_printf(ngx_pool_t *pool, const char *fmt, ...);
ngx_str_t df_str_vprintf(ngx_pool_t *pool, const char *fmt, va_list args);

/* RFC 3629; NGX_OK when the bytes are UTF-8, else NGX_DECLINED */
ngx_int_t df_utf8_check(const u_char *p, size_t len);
/* bytes of the character at p, which is before end; 0 when it is invalid */
size_t df_utf8_length(const u_char *p, const u_char *end);

/*
 * The member of a list that a mistyped word most likely meant, by
 * Damerau-Levenshtein distance, or NULL when none is near.
 */
typedef ngx_str_t *(*df_name_at_pt)(void *list, ngx_uint_t i);
ngx_str_t *df_nearest(const ngx_str_t *word, void *list, ngx_uint_t n,
    df_name_at_pt name_at);


/* json: RFC 8259 in, RFC 8259 out, nothing rounded */

/*
 * cJSON builds the tree, a strict scanner stands before it: cJSON keeps
 * numbers as doubles, ends strings at U+0000 and accepts what RFC 8259 does
 * not.  The scanner checks grammar, UTF-8 and depth and hands cJSON a text in
 * which each number is a string that starts with the byte 0xff and U+0000 is
 * the byte 0xfe: neither byte occurs in UTF-8.  So the tree must be read with
 * the functions below.  The tree lives in the pool.
 */

#define DF_JSON_MAX_DEPTH    128
#define DF_JSON_NUMBER_MARK  0xff
#define DF_JSON_NUL_MARK     0xfe

typedef enum {
    DF_JSON_NULL = 0,
    DF_JSON_FALSE,
    DF_JSON_TRUE,
    DF_JSON_NUMBER,
    DF_JSON_STRING,
    DF_JSON_ARRAY,
    DF_JSON_OBJECT
} df_json_kind_t;

typedef struct {
    size_t       offset;        /* of the byte that is wrong */
    ngx_uint_t   line;          /* from 1 */
    ngx_uint_t   column;        /* from 1, in bytes */
    const char  *reason;        /* "a comma or ] was expected" */
} df_json_error_t;

/* the tree, or NULL with the error filled (reason "out of memory" too) */
cJSON *df_json_parse(ngx_pool_t *pool, const ngx_str_t *text,
    df_json_error_t *error);

df_json_kind_t df_json_kind(const cJSON *node);

/* a string's characters, a number's literal, "true", "false", "null" */
ngx_str_t df_json_text(const cJSON *node);

/* a member's name */
ngx_str_t df_json_name(const cJSON *node);

/* 1 when a string, or a name or string below the node, holds U+0000, which
   PostgreSQL can store neither in text nor in jsonb */
ngx_uint_t df_json_has_nul(const cJSON *node);

/* compact text of the tree, numbers as they were written, NUL-terminated */
ngx_int_t df_json_print(ngx_pool_t *pool, const cJSON *node, ngx_str_t *out);

/* length of a JSON string's inside, and the inside itself; invalid UTF-8
   becomes U+FFFD */
size_t df_json_escaped_length(const u_char *p, size_t len);
u_char *df_json_escape(u_char *dst, const u_char *p, size_t len);

/* a number as nginx.conf or PostgreSQL writes it, which may have a plus and
   zeros before it; NGX_DECLINED for what JSON has none for, such as NaN */
ngx_int_t df_json_number_text(ngx_pool_t *pool, const ngx_str_t *text,
    ngx_str_t *json);

/*
 * Appends JSON from a template, in which ' stands for " and
 *
 *   %V  ngx_str_t *   the inside of a string, escaped
 *   %s  const char *  the same
 *   %J  ngx_str_t *   JSON as it is
 *   %i  ngx_int_t     a number
 *   %u  ngx_uint_t    a number
 *
 * A comma is put before it unless the text is empty, ends with what opens an
 * object, an array or a member, or the template closes one: members and
 * elements may be added one by one.  The writer is contiguous; it tells of a
 * failure in the end.
 */
void df_json_put(df_writer_t *w, const char *template, ...);

/* RFC 6901: appends "/name" with ~ and / escaped to a pointer */
ngx_str_t df_json_pointer(ngx_pool_t *pool, const ngx_str_t *parent,
    const ngx_str_t *name);
ngx_str_t df_json_pointer_index(ngx_pool_t *pool, const ngx_str_t *parent,
    ngx_uint_t index);


/* time: the proleptic Gregorian calendar, as PostgreSQL counts */

#define DF_TIME_INFINITY      INT64_MAX
#define DF_TIME_NEG_INFINITY  INT64_MIN

/* days and microseconds since 2000-01-01; NGX_OK or NGX_DECLINED */
ngx_int_t df_time_parse_date(const u_char *p, size_t len, int64_t *days);
ngx_int_t df_time_parse_time(const u_char *p, size_t len, int64_t *usec);
/* RFC 3339; a blank stands for T, and for + in the offset; a date alone is its
   midnight, in UTC.  zone: an offset or Z is required behind a time of day (1)
   or forbidden (0) */
ngx_int_t df_time_parse_timestamp(const u_char *p, size_t len, ngx_uint_t zone,
    int64_t *usec);

/* at most DF_TIME_LEN bytes are written */
#define DF_TIME_LEN  64
u_char *df_time_format_date(u_char *p, int64_t days);
u_char *df_time_format_time(u_char *p, int64_t usec);
u_char *df_time_format_timestamp(u_char *p, int64_t usec, ngx_uint_t zone);
/* ISO 8601 duration, as PostgreSQL's intervalstyle iso_8601 prints it */
u_char *df_time_format_interval(u_char *p, int64_t usec, int32_t days,
    int32_t months);


/* problem: what went wrong, RFC 9457 */

typedef enum {
    DF_PROBLEM_NONE = 0,

    DF_PROBLEM_BAD_REQUEST,
    DF_PROBLEM_UNKNOWN_PARAMETER,
    DF_PROBLEM_UNKNOWN_FIELD,
    DF_PROBLEM_UNKNOWN_OPERATOR,
    DF_PROBLEM_INVALID_VALUE,
    DF_PROBLEM_INVALID_JSON,
    DF_PROBLEM_INVALID_CURSOR,
    DF_PROBLEM_LIMIT_EXCEEDED,
    DF_PROBLEM_FORBIDDEN,
    DF_PROBLEM_NOT_FOUND,
    DF_PROBLEM_METHOD_NOT_ALLOWED,
    DF_PROBLEM_NOT_ACCEPTABLE,
    DF_PROBLEM_CONFLICT,
    DF_PROBLEM_UNIQUE_VIOLATION,
    DF_PROBLEM_EXCLUSION_VIOLATION,
    DF_PROBLEM_FOREIGN_KEY_VIOLATION,
    DF_PROBLEM_SERIALIZATION_FAILURE,
    DF_PROBLEM_LOCK_NOT_AVAILABLE,
    DF_PROBLEM_PRECONDITION_FAILED,
    DF_PROBLEM_PAYLOAD_TOO_LARGE,
    DF_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    DF_PROBLEM_VALIDATION_FAILED,
    DF_PROBLEM_TOO_COMPLEX,
    DF_PROBLEM_INTERNAL,
    DF_PROBLEM_SCHEMA_DRIFT,
    DF_PROBLEM_DATABASE_UNAVAILABLE,
    DF_PROBLEM_OVERLOADED,
    DF_PROBLEM_OUTCOME_UNKNOWN,
    DF_PROBLEM_QUEUE_TIMEOUT,
    DF_PROBLEM_STATEMENT_TIMEOUT,

    DF_PROBLEM_MAX
} df_problem_code_t;

typedef enum {
    DF_AT_POINTER = 0,          /* RFC 6901 pointer into the body */
    DF_AT_PARAMETER,            /* a query parameter's name */
    DF_AT_HEADER
} df_problem_at_t;

typedef struct {
    df_problem_at_t  at;
    ngx_str_t        name;
    ngx_str_t        code;      /* "required", "unknown_field", … */
    ngx_str_t        detail;
    ngx_uint_t       line;      /* of an import, from 1; 0: none */
} df_problem_item_t;

/* A problem and all it points at live in its pool. */

typedef struct {
    ngx_pool_t         *pool;
    df_problem_code_t   code;       /* DF_PROBLEM_NONE: nothing is wrong */
    ngx_uint_t          status;     /* overrides the code's own; 0: none */
    ngx_str_t           detail;
    ngx_str_t           constraint;
    ngx_str_t           sqlstate;
    ngx_uint_t          retry_after;    /* seconds; 0: no header */
    ngx_uint_t          line;       /* of the items that are added next */
    ngx_array_t         items;          /* df_problem_item_t */
} df_problem_t;

#define DF_PROBLEM_MAX_ITEMS  100

ngx_int_t df_problem_init(df_problem_t *p, ngx_pool_t *pool);

/* Sets code and detail (ngx_sprintf's formats).  Always returns NGX_DECLINED,
   the value of every function that has filled a problem, to be returned on. */
ngx_int_t df_problem_set(df_problem_t *p, df_problem_code_t code,
    const char *fmt, ...);

/* Adds one place where something is wrong; sets the code and a general detail
   when none is set yet.  Items over DF_PROBLEM_MAX_ITEMS are dropped.
   Returns NGX_DECLINED. */
ngx_int_t df_problem_add(df_problem_t *p, df_problem_code_t code,
    df_problem_at_t at, const ngx_str_t *name, const char *item_code,
    const char *fmt, ...);

ngx_uint_t df_problem_status(const df_problem_t *p);

/* what there is to know of a kind of problems */
void df_problem_kind(df_problem_code_t code, ngx_uint_t *status,
    ngx_str_t *name, ngx_str_t *title);

/* The whole document, application/problem+json; instance may be empty. */
ngx_int_t df_problem_print(const df_problem_t *p, const ngx_str_t *instance,
    ngx_str_t *out);


/* conf: blocks and options of nginx.conf */

/*
 * The commands of our blocks belong to ngx_dataflow_block_module, a module of
 * a type of its own, so that nginx's own parser reads them: its error texts,
 * include and quoting are those that users know.  Each block is a bit.  A
 * setter in a block gets the block's structure as conf (cmd->conf is 0).
 */

#define DF_BLOCK_MODULE    0x574f4c46       /* "FLOW" */

#define DF_DATABASE_BLOCK  0x02000000
#define DF_MODEL_BLOCK     0x04000000
#define DF_ANALYTICS_BLOCK 0x08000000
#define DF_REPORT_BLOCK    0x10000000

/* parses the block that follows; conf is what its commands receive */
char *df_conf_block(ngx_conf_t *cf, ngx_uint_t bit, void *conf);

/*
 * name=value options of a directive, as a table.  A setter stores the value
 * at offset in conf; it returns NULL, or what was expected instead ("a time
 * such as 500ms or 2s"), which goes into the message together with the
 * directive, the option and the word.
 */

typedef struct df_conf_option_s  df_conf_option_t;

struct df_conf_option_s {
    ngx_str_t    name;          /* without the = */
    const char  *(*set)(ngx_conf_t *cf, const df_conf_option_t *option,
                        ngx_str_t *value, void *conf);
    size_t       offset;
    ngx_int_t    min;           /* for numbers; max 0: no upper bound */
    ngx_int_t    max;
};

/* args from..nelts-1 of cf->args; NGX_CONF_OK or NGX_CONF_ERROR (logged) */
char *df_conf_options(ngx_conf_t *cf, ngx_uint_t from,
    const df_conf_option_t *options, void *conf);

const char *df_conf_set_msec(ngx_conf_t *cf, const df_conf_option_t *option,
    ngx_str_t *value, void *conf);
const char *df_conf_set_num(ngx_conf_t *cf, const df_conf_option_t *option,
    ngx_str_t *value, void *conf);
const char *df_conf_set_str(ngx_conf_t *cf, const df_conf_option_t *option,
    ngx_str_t *value, void *conf);
const char *df_conf_set_on_off(ngx_conf_t *cf, const df_conf_option_t *option,
    ngx_str_t *value, void *conf);

/* how a message about an unknown word ends: did you mean "x"? known are …;
   name_at may leave a member out with NULL */
ngx_str_t df_conf_known(ngx_conf_t *cf, const ngx_str_t *word, void *list,
    ngx_uint_t n, df_name_at_pt name_at);

/* 1 when the name matches [a-z_][a-z0-9_]{0,62} */
ngx_uint_t df_conf_is_name(const ngx_str_t *name);


/* zone: shared memory that survives a reload */

/*
 * A zone holds named slots.  A slot is asked for while the configuration is
 * read and has an address once the zone is made; a slot of the same name and
 * size keeps its content over reloads, a new one is zeroed.  Slots are for
 * atomics; what needs a lock takes shpool->mutex, the only lock nginx frees
 * when a worker dies.
 */

typedef struct df_zone_s       df_zone_t;
typedef struct df_zone_slot_s  df_zone_slot_t;

struct df_zone_slot_s {
    ngx_str_t   name;
    size_t      size;
    void       *addr;
};

df_zone_t *df_zone_create(ngx_conf_t *cf, ngx_str_t *name, size_t size,
    void *tag);
df_zone_slot_t *df_zone_slot(ngx_conf_t *cf, df_zone_t *zone,
    const char *prefix, const ngx_str_t *name, size_t size);
ngx_slab_pool_t *df_zone_shpool(df_zone_t *zone);

/* 32 random bytes made with the zone: the key of cursors and other tokens */
#define DF_ZONE_SECRET_LEN  32
const u_char *df_zone_secret(df_zone_t *zone);


/* token: HMAC-SHA256 of several pieces, cut to 16 bytes */

#define DF_TOKEN_MAC_LEN  16
ngx_int_t df_token_mac(const u_char *key, size_t key_len,
    const ngx_str_t *pieces, ngx_uint_t n, u_char mac[DF_TOKEN_MAC_LEN]);


DF_HIDDEN_END


#endif /* _DF_CORE_H_INCLUDED_ */
