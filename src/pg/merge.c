
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Merge: reads of one row by key, of equal text and waiting at the same time,
 * become one statement with an array of keys.  Starting and ending an
 * executor costs the server several times what finding a row does.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


/*
 * PostgreSQL takes an array parameter for one of 10 elements when it estimates
 * a generic plan and would plan each shorter one anew, at several times the
 * cost of running it; a shorter array is filled with its first key.
 */
#define DF_PG_MERGE_MIN  12

/* the end of the text of one that reads by key */
#define DF_PG_MERGE_TAIL  "$1"


typedef struct {
    df_pg_group_t          group;
    df_pg_statement_t      statement;
    Oid                    type;
    const char            *value;
    u_char                 array[1];
} df_pg_merge_t;


static ngx_uint_t df_pg_merge_collect(df_pg_job_t *first,
    df_pg_job_t **members);
static df_pg_merge_t *df_pg_merge_create(df_pg_job_t **members, ngx_uint_t n);
static u_char *df_pg_merge_element(u_char *p, const char *key);
static ngx_int_t df_pg_merge_text(df_pg_shape_t *shape,
    const df_pg_statement_t *st, ngx_log_t *log);
static void df_pg_merge_result(void *data, ngx_uint_t i, PGresult *res,
    ngx_uint_t row, ngx_uint_t n);
static ngx_uint_t df_pg_merge_find(PGresult *res, const char *key,
    ngx_uint_t *row);
static void df_pg_merge_done(void *data, const df_pg_error_t *error);


static const df_pg_callbacks_t  df_pg_merge_callbacks = {
    df_pg_merge_result,
    NULL,
    df_pg_merge_done
};


/* first is at the head of its queue; NULL when it has to be sent by itself */

df_pg_job_t *
df_pg_merge(df_pg_job_t *first)
{
    ngx_uint_t      n;
    df_pg_job_t    *job, *members[DF_PG_GROUP];
    df_pg_spec_t    spec;
    df_pg_merge_t  *merge;

    n = df_pg_merge_collect(first, members);

    if (n < 2
        || df_pg_merge_text(first->shape, first->statements, first->pool->log)
           != NGX_OK)
    {
        return NULL;
    }

    merge = df_pg_merge_create(members, n);
    if (merge == NULL) {
        return NULL;
    }

    ngx_memzero(&spec, sizeof(df_pg_spec_t));

    spec.statements = &merge->statement;
    spec.nstatements = 1;
    spec.lane = DF_PG_READ;
    spec.callbacks = &df_pg_merge_callbacks;
    spec.data = merge;

    job = df_pg_group_job(&merge->group, &spec);

    if (job) {
        job->shape = first->shape;
        job->shape->refs++;
    }

    return job;
}


static ngx_uint_t
df_pg_merge_collect(df_pg_job_t *first, df_pg_job_t **members)
{
    ngx_uint_t    n;
    ngx_queue_t  *q;
    df_pg_job_t  *job;

    if (first->group || first->alone || first->shape == NULL
        || first->nstatements != 1 || first->statements->key == NULL)
    {
        return 0;
    }

    members[0] = first;
    n = 1;

    for (q = ngx_queue_next(&first->queue);
         q != &first->pool->reads && n < DF_PG_GROUP;
         q = ngx_queue_next(q))
    {
        job = ngx_queue_data(q, df_pg_job_t, queue);

        if (job->shape == first->shape && !job->group && !job->alone
            && job->nstatements == 1 && job->statements->key)
        {
            members[n++] = job;
        }
    }

    return n;
}


static df_pg_merge_t *
df_pg_merge_create(df_pg_job_t **members, ngx_uint_t n)
{
    size_t              len;
    u_char             *p;
    ngx_uint_t          i;
    df_pg_merge_t      *merge;
    df_pg_statement_t  *st;

    len = sizeof("{}");

    for (i = 0; i < ngx_max(n, DF_PG_MERGE_MIN); i++) {
        len += 2 * ngx_strlen(members[i < n ? i : 0]->statements->values[0])
               + sizeof("\"\",") - 1;
    }

    merge = ngx_alloc(sizeof(df_pg_merge_t) + len, members[0]->pool->log);
    if (merge == NULL) {
        return NULL;
    }

    p = merge->array;

    for (i = 0; i < ngx_max(n, DF_PG_MERGE_MIN); i++) {
        *p++ = i ? ',' : '{';
        p = df_pg_merge_element(p,
                                members[i < n ? i : 0]->statements->values[0]);
    }

    *p++ = '}';
    *p = '\0';

    merge->group.n = n;
    ngx_memcpy(merge->group.members, members, n * sizeof(df_pg_job_t *));

    merge->type = members[0]->statements->key->array;
    merge->value = (char *) merge->array;

    st = &merge->statement;
    ngx_memzero(st, sizeof(df_pg_statement_t));

    st->text = members[0]->shape->merged;
    st->nparams = 1;
    st->types = &merge->type;
    st->values = &merge->value;

    return merge;
}


/* PostgreSQL documentation, "Array Input and Output Syntax" */

static u_char *
df_pg_merge_element(u_char *p, const char *key)
{
    *p++ = '"';

    for ( /* void */ ; *key; key++) {

        if (*key == '"' || *key == '\\') {
            *p++ = '\\';
        }

        *p++ = (u_char) *key;
    }

    *p++ = '"';

    return p;
}


/* SELECT a, b FROM t WHERE k = $1  ->
   SELECT a, b, k::text FROM t WHERE k = ANY ($1) */

static ngx_int_t
df_pg_merge_text(df_pg_shape_t *shape, const df_pg_statement_t *st,
    ngx_log_t *log)
{
    size_t              len;
    u_char             *p;
    const df_pg_key_t  *key;

    if (shape->merged.data) {
        return NGX_OK;
    }

    key = st->key;
    len = st->text.len + key->column.len + sizeof(", ::textANY ()");

    p = ngx_alloc(len, log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    shape->merged.data = p;

    p = ngx_cpymem(p, st->text.data, key->list);
    p = ngx_sprintf(p, ", %V::text", &key->column);
    p = ngx_cpymem(p, st->text.data + key->list,
                   st->text.len - key->list - (sizeof(DF_PG_MERGE_TAIL) - 1));
    p = ngx_cpymem(p, "ANY (" DF_PG_MERGE_TAIL ")",
                   sizeof("ANY (" DF_PG_MERGE_TAIL ")") - 1);

    shape->merged.len = p - shape->merged.data;
    *p = '\0';

    return NGX_OK;
}


static void
df_pg_merge_result(void *data, ngx_uint_t i, PGresult *res, ngx_uint_t row,
    ngx_uint_t n)
{
    df_pg_merge_t *merge = data;

    df_pg_job_t  *job;

    for (i = 0; i < merge->group.n; i++) {
        job = merge->group.members[i];

        if (job->orphan) {
            continue;
        }

        n = df_pg_merge_find(res, job->statements->values[0], &row);

        job->callbacks->result(job->data, 0, res, row, n);
    }
}


static ngx_uint_t
df_pg_merge_find(PGresult *res, const char *key, ngx_uint_t *row)
{
    int     i, n, column;
    size_t  len;

    len = ngx_strlen(key);
    n = PQntuples(res);
    column = PQnfields(res) - 1;

    for (i = 0; i < n; i++) {
        if ((size_t) PQgetlength(res, i, column) == len
            && ngx_memcmp(PQgetvalue(res, i, column), key, len) == 0)
        {
            *row = (ngx_uint_t) i;
            return 1;
        }
    }

    *row = 0;

    return 0;
}


static void
df_pg_merge_done(void *data, const df_pg_error_t *error)
{
    df_pg_merge_t *merge = data;

    ngx_uint_t    i;
    df_pg_job_t  *job;

    for (i = 0; i < merge->group.n; i++) {

        job = df_pg_group_take(&merge->group, i);
        if (job == NULL) {
            continue;
        }

        if (error->failure == DF_PG_SQL) {
            df_pg_group_resend(job);
            continue;
        }

        df_pg_job_fail(job, error->failure);
    }
}
