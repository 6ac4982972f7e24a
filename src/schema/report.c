
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * What a migration has to say: to the error log, and to shared memory for
 * the health of the instance.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "schema/migrate.h"


typedef struct {
    const char  *done;
    const char  *lacking;
} df_report_words_t;


static ngx_uint_t df_schema_report_follows(const df_change_t *change);
static ngx_str_t df_schema_report_text(df_migrator_t *m,
    const df_change_t *change);
static void df_schema_report_add(df_migrator_t *m, const ngx_str_t *text);


/* by df_change_kind_t */

static const df_report_words_t  df_schema_report_words[] = {
    { NULL, NULL },
    { "created", "is missing" },
    { "replaced", "differs from what is declared" }
};


ngx_uint_t
df_schema_report_changes(df_migrator_t *m)
{
    ngx_str_t     text;
    ngx_uint_t    i, left, level;
    df_change_t  *change;

    left = 0;
    change = m->changes.elts;

    m->shared->nreports = 0;

    for (i = 0; i < m->changes.nelts; i++) {

        if (df_schema_report_follows(&change[i])) {
            continue;
        }

        text = df_schema_report_text(m, &change[i]);

        level = change[i].done ? NGX_LOG_NOTICE : NGX_LOG_WARN;

        ngx_log_error(level, m->log, 0, "dataflow: database \"%V\": %V",
                      &m->database->name, &text);

        if (!change[i].done) {
            df_schema_report_add(m, &text);
            left++;
        }
    }

    return left;
}


/* what was not tried because its table could not be created */

static ngx_uint_t
df_schema_report_follows(const df_change_t *change)
{
    return change->table->failed && !change->done && change->failure.len == 0
           && change->kind != DF_CHANGE_REPORT;
}


static ngx_str_t
df_schema_report_text(df_migrator_t *m, const df_change_t *change)
{
    const ngx_str_t          *model;
    const df_report_words_t  *words;

    model = &change->model->name;
    words = &df_schema_report_words[change->kind];

    if (change->done) {
        return df_str_printf(m->pool, "%s %V", words->done, &change->text);
    }

    if (change->kind == DF_CHANGE_REPORT) {
        return df_str_printf(m->pool, "model \"%V\": %V", model,
                             &change->text);
    }

    if (change->failure.len) {
        return df_str_printf(m->pool, "model \"%V\": %V could not be %s: %V",
                             model, &change->text, words->done,
                             &change->failure);
    }

    return df_str_printf(m->pool, "model \"%V\": %V %s; to mend: %V", model,
                         &change->text, words->lacking, &change->sql[0]);
}


/* said once; the attempts that follow are only to be found if looked for */

void
df_schema_report_failure(df_migrator_t *m, const df_pg_error_t *error)
{
    ngx_str_t   why;
    ngx_uint_t  level;

    why = df_schema_report_why(m, error);

    level = (m->shared->state == DF_MIGRATION_FAILED) ? NGX_LOG_INFO
                                                      : NGX_LOG_WARN;

    ngx_log_error(level, m->log, 0,
                  "dataflow: database \"%V\": its tables could not be %s, "
                  "to be tried again: %V", &m->database->name,
                  m->database->migrate == DF_MIGRATE_VERIFY ? "verified"
                                                            : "migrated",
                  &why);

    m->shared->nreports = 0;

    df_schema_report_add(m, &why);
}


ngx_str_t
df_schema_report_why(df_migrator_t *m, const df_pg_error_t *error)
{
    time_t     since;
    ngx_str_t  why;

    ngx_str_set(&why, "out of memory");

    if (error == NULL || error->failure == DF_PG_NO_MEMORY) {
        return why;
    }

    if (error->message.len) {
        return df_str_printf(m->pool, "%V (%s)", &error->message,
                             error->sqlstate);
    }

    (void) df_pg_pool_state(m->database->pool, &since, &why);

    if (why.len == 0) {
        ngx_str_set(&why, "no connection");
    }

    return why;
}


static void
df_schema_report_add(df_migrator_t *m, const ngx_str_t *text)
{
    size_t       len;
    u_char      *report;
    ngx_uint_t   n;

    n = m->shared->nreports;

    if (n < DF_MIGRATION_REPORTS) {
        report = m->shared->reports[n];
        len = ngx_min(text->len, DF_MIGRATION_REPORT_LEN - 1);

        /* no half of a character */

        while (len < text->len && (text->data[len] & 0xc0) == 0x80) {
            len--;
        }

        ngx_memcpy(report, text->data, len);
        report[len] = '\0';
    }

    m->shared->nreports = n + 1;
}
