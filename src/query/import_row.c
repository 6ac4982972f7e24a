
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The rows of an import: by the rules of create, but that what a client cannot
 * set is left out, so that what was exported can be imported.
 *
 * A row that is right costs no more than its values; one that is not is read
 * once more, by what reads the body of a create, to tell all that is wrong.
 */


#include <ngx_config.h>
#include "query/import.h"


#define DF_IMPORT_SCRATCH  16384

/* bytes of problems, behind which none is told: names may be as long as rows */
#define DF_IMPORT_TOLD     262144


static void df_import_scratch_destroy(void *data);
static ngx_int_t df_import_scratch_reset(df_import_t *import);
static ngx_int_t df_import_identities(df_import_t *import);
static ngx_int_t df_import_row_line(df_import_t *import);
static ngx_int_t df_import_row_object(df_import_t *import, const cJSON *body);
static const df_field_t *df_import_row_field(df_import_t *import,
    const cJSON *node);
static ngx_uint_t df_import_row_lacks(df_import_t *import);
static ngx_int_t df_import_row_tell(df_import_t *import, const cJSON *body);
static ngx_int_t df_import_row_values(df_import_t *import);
static ngx_int_t df_import_row_value(df_import_t *import,
    const df_field_t *field, const df_csv_value_t *v);
static ngx_int_t df_import_row_array(df_import_t *import,
    const df_field_t *field, const ngx_str_t *text, df_value_t *value,
    df_value_error_t *error);
static ngx_int_t df_import_header(df_import_t *import);
static ngx_int_t df_import_header_column(df_import_t *import, ngx_uint_t i);
static void df_import_highest(df_import_t *import);
static void df_import_give(df_import_t *import, const df_field_t *field);
static ngx_int_t df_import_add(df_import_t *import, ngx_uint_t line);
static void df_import_refuse(df_import_t *import, const ngx_str_t *name,
    const char *code, const char *fmt, ...);


ngx_int_t
df_import_rows_init(df_import_t *import)
{
    ngx_uint_t           n;
    ngx_pool_t          *pool;
    ngx_pool_cleanup_t  *cln;

    pool = import->run->pool;
    n = import->request->model->fields.nelts;

    cln = ngx_pool_cleanup_add(pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    import->scratch = ngx_create_pool(DF_IMPORT_SCRATCH, import->run->log);
    if (import->scratch == NULL) {
        return NGX_ERROR;
    }

    cln->handler = df_import_scratch_destroy;
    cln->data = import;

    import->seen = ngx_pcalloc(pool, n);
    import->given = ngx_pcalloc(pool, (n + 7) / 8);
    import->values = ngx_pcalloc(pool, n * sizeof(df_value_t));

    if (import->seen == NULL || import->given == NULL
        || import->values == NULL
        || df_import_sets_init(&import->sets, pool, import->request->model)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return df_import_identities(import);
}


static void
df_import_scratch_destroy(void *data)
{
    df_import_t *import = data;

    if (import->scratch) {
        ngx_destroy_pool(import->scratch);
    }
}


/* a pool keeps its blocks: those of one long row are not for all that follow */

static ngx_int_t
df_import_scratch_reset(df_import_t *import)
{
    if (import->scratch->d.next == NULL) {
        ngx_reset_pool(import->scratch);
        return NGX_OK;
    }

    ngx_destroy_pool(import->scratch);

    import->scratch = ngx_create_pool(DF_IMPORT_SCRATCH, import->run->log);

    return import->scratch ? NGX_OK : NGX_ERROR;
}


static ngx_int_t
df_import_identities(df_import_t *import)
{
    ngx_int_t          rc;
    ngx_uint_t         i;
    df_assignment_t   *a;
    const df_field_t  *field;
    const df_model_t  *model;

    model = import->request->model;

    if (ngx_array_init(&import->identities, import->run->pool, 2,
                       sizeof(df_assignment_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < model->fields.nelts; i++) {
        field = df_schema_field_at(model, i);

        if (!df_compile_is_identity(field)) {
            continue;
        }

        a = ngx_array_push(&import->identities);
        if (a == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(a, sizeof(df_assignment_t));
        a->field = field;

        rc = df_query_identity(import->admitted, import->run->pool, field,
                               &a->value, &import->run->problem);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_int_t
df_import_row(df_import_t *import)
{
    ngx_int_t      rc;
    ngx_uint_t     line;
    df_problem_t  *problem;

    line = import->csv ? import->csv->line : import->ndjson->line;

    if (import->csv && import->csv->columns == 0) {
        import->run->problem.line = line;
        return df_import_header(import);
    }

    problem = &import->run->problem;
    problem->line = line;

    import->rows++;
    import->next = 0;

    if (df_import_scratch_reset(import) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(import->seen, import->request->model->fields.nelts);
    ngx_memzero(import->given, import->sets.nbits);

    rc = import->csv ? df_import_row_values(import)
                     : df_import_row_line(import);

    if (rc == NGX_DECLINED) {
        import->bad++;
    }

    /* once nothing will be stored, rows are only looked at */

    return (rc == NGX_OK && import->bad == 0) ? df_import_add(import, line)
                                              : rc;
}


ngx_int_t
df_import_row_refuse(df_import_t *import, ngx_uint_t line, const char *code,
    const char *reason)
{
    static const ngx_str_t  row = ngx_string("");

    import->rows++;
    import->bad++;
    import->run->problem.line = line;

    df_import_refuse(import, &row, code, "%s", reason);

    return (import->csv && import->csv->columns == 0) ? NGX_ABORT
                                                      : NGX_DECLINED;
}


static ngx_int_t
df_import_add(df_import_t *import, ngx_uint_t line)
{
    ngx_uint_t              i;
    const df_assignment_t  *a;

    a = import->identities.elts;

    for (i = 0; i < import->identities.nelts; i++) {

        if (!import->seen[a[i].field->index]
            || df_query_leaves_out(import->request, a[i].field))
        {
            import->values[a[i].field->index] = a[i].value;
            df_import_give(import, a[i].field);
        }
    }

    if (import->request->keep_generated) {
        df_import_highest(import);
    }

    return import->copies
           ? df_import_sets_add(&import->sets, import->given, import->values,
                                line)
           : df_import_batch_add(import, line);
}


/* of the keys that are kept, for the sequence to go on behind them */

static void
df_import_highest(df_import_t *import)
{
    int64_t            n;
    const df_field_t  *key;
    const df_value_t  *value;

    key = import->request->model->key;
    value = &import->values[key->index];

    if (!key->identity || value->null
        || !(import->given[key->index / 8] & (1 << key->index % 8)))
    {
        return;
    }

    n = strtoll((char *) value->text.data, NULL, 10);
    import->highest = ngx_max(import->highest, n);
}


static void
df_import_give(df_import_t *import, const df_field_t *field)
{
    import->given[field->index / 8] |= (u_char) (1 << field->index % 8);
}


/* NDJSON */

static ngx_int_t
df_import_row_line(df_import_t *import)
{
    cJSON            *body;
    ngx_int_t         rc;
    df_json_error_t   error;

    static const ngx_str_t  row = ngx_string("");

    body = df_json_parse(import->scratch, &import->ndjson->row, &error);

    if (body == NULL) {
        df_import_refuse(import, &row, "syntax", "column %ui: %s",
                         error.column, error.reason);
        return NGX_DECLINED;
    }

    rc = df_import_row_object(import, body);

    return (rc == NGX_DECLINED) ? df_import_row_tell(import, body) : rc;
}


static ngx_int_t
df_import_row_object(df_import_t *import, const cJSON *body)
{
    ngx_int_t          rc;
    df_value_t        *value;
    const cJSON       *node;
    df_value_error_t   error;
    const df_field_t  *field;

    if (df_json_kind(body) != DF_JSON_OBJECT) {
        return NGX_DECLINED;
    }

    for (node = body->child; node; node = node->next) {
        field = df_import_row_field(import, node);

        if (field == NULL || import->seen[field->index]) {
            return NGX_DECLINED;
        }

        import->seen[field->index] = 1;

        if (df_query_leaves_out(import->request, field)) {
            continue;
        }

        value = &import->values[field->index];

        rc = df_schema_parse_json(field, import->scratch, node, 0, 1, value,
                                  &error);
        if (rc != NGX_OK) {
            return rc;
        }

        if (field->key && !df_query_values_is_segment(&value->text)) {
            return NGX_DECLINED;
        }

        df_import_give(import, field);
    }

    return df_import_row_lacks(import) ? NGX_DECLINED : NGX_OK;
}


/* rows name their fields in the same order */

static const df_field_t *
df_import_row_field(df_import_t *import, const cJSON *node)
{
    ngx_str_t          name;
    const df_field_t  *field;
    const df_model_t  *model;

    model = import->request->model;
    name = df_json_name(node);

    if (import->next < model->fields.nelts) {
        field = df_schema_field_at(model, import->next);

        if (df_query_same(&field->name, &name)) {
            import->next++;
            return field;
        }
    }

    field = df_schema_field(model, &name);

    if (field != NULL) {
        import->next = field->index + 1;
    }

    return field;
}


static ngx_uint_t
df_import_row_lacks(df_import_t *import)
{
    ngx_uint_t         i;
    const df_field_t  *field;

    for (i = 0; i < import->request->model->fields.nelts; i++) {
        field = df_schema_field_at(import->request->model, i);

        if (field->required && !import->seen[i]
            && !field->generated && !field->readonly)
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
df_import_row_tell(df_import_t *import, const cJSON *body)
{
    ngx_int_t           rc;
    ngx_uint_t          i;
    df_problem_t        problem;
    df_request_t        row;
    df_problem_item_t  *item;

    if (import->run->problem.items.nelts == DF_PROBLEM_MAX_ITEMS
        || import->told >= DF_IMPORT_TOLD)
    {
        return NGX_DECLINED;
    }

    if (df_problem_init(&problem, import->scratch) != NGX_OK
        || df_query_request_init(&row, import->scratch,
                                 import->request->model, DF_CREATE)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    row.import = 1;
    row.keep_generated = import->request->keep_generated;

    rc = df_query_parse_values(&row, body, NULL, &problem);
    if (rc == NGX_ERROR) {
        return rc;
    }

    item = problem.items.elts;

    for (i = 0; i < problem.items.nelts; i++) {
        df_import_refuse(import, &item[i].name, (char *) item[i].code.data,
                         "%V", &item[i].detail);
    }

    return NGX_DECLINED;
}


/* CSV */

static ngx_int_t
df_import_row_values(df_import_t *import)
{
    ngx_int_t    rc, result;
    df_csv_t    *csv;
    ngx_uint_t   i;

    static const ngx_str_t  row = ngx_string("");

    csv = import->csv;

    if (csv->n != csv->columns) {
        df_import_refuse(import, &row, "columns",
                         "expected %ui values, as the first line has, and "
                         "found %ui", csv->columns, csv->n);
        return NGX_DECLINED;
    }

    result = NGX_OK;

    for (i = 0; i < csv->n; i++) {

        if (import->columns[i] == NULL) {
            continue;
        }

        rc = df_import_row_value(import, import->columns[i],
                                 &csv->values[i]);
        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            result = rc;
        }
    }

    return result;
}


static ngx_int_t
df_import_row_value(df_import_t *import, const df_field_t *field,
    const df_csv_value_t *v)
{
    ngx_int_t          rc;
    ngx_str_t          text, pointer;
    df_value_t        *value;
    df_value_error_t   error;

    static const ngx_str_t  root = ngx_string("");
    static const ngx_str_t  required = ngx_string("a value other than null");

    value = &import->values[field->index];
    ngx_memzero(value, sizeof(df_value_t));

    import->seen[field->index] = 1;
    df_import_give(import, field);

    text.data = import->csv->buf + v->start;
    text.len = v->len;

    if (text.len == 0 && !v->quoted) {
        value->null = 1;

        if (!field->not_null) {
            return NGX_OK;
        }

        error.code = "null";
        error.expected = required;
        rc = NGX_DECLINED;

    } else if (field->array) {
        rc = df_import_row_array(import, field, &text, value, &error);

    } else {
        rc = field->type->parse(field, import->scratch, &text, value, &error);

        if (rc == NGX_OK) {
            rc = df_schema_constrain(field, import->scratch, value, &error);
        }
    }

    if (rc == NGX_OK && field->key
        && !df_query_values_is_segment(&value->text))
    {
        error.code = "key";
        ngx_str_set(&error.expected, "a key that a path can end in");
        rc = NGX_DECLINED;
    }

    if (rc == NGX_DECLINED) {
        pointer = df_json_pointer(import->scratch, &root, &field->name);
        df_import_refuse(import, &pointer, error.code, "expected %V",
                         &error.expected);
    }

    return rc;
}


static ngx_int_t
df_import_row_array(df_import_t *import, const df_field_t *field,
    const ngx_str_t *text, df_value_t *value, df_value_error_t *error)
{
    cJSON            *node;
    df_json_error_t   reason;

    node = df_json_parse(import->scratch, text, &reason);

    /* what is none is refused by what reads it as text */

    if (node == NULL || df_json_kind(node) != DF_JSON_ARRAY) {
        return df_schema_parse_text(field, import->scratch, text, 0, value,
                                    error);
    }

    return df_schema_parse_json(field, import->scratch, node, 0, 1, value,
                                error);
}


/* the first line of CSV; without one that is right no row can be read */

static ngx_int_t
df_import_header(df_import_t *import)
{
    df_csv_t          *csv;
    ngx_int_t          rc;
    ngx_uint_t         i, wrong;
    ngx_str_t          pointer;
    const df_field_t  *field;

    static const ngx_str_t  root = ngx_string("");

    csv = import->csv;
    wrong = 0;

    if (csv->n > DF_CSV_COLUMNS) {
        df_import_refuse(import, &root, "columns",
                         "there are more than %d columns", DF_CSV_COLUMNS);
        return NGX_ABORT;
    }

    csv->columns = csv->n;

    import->columns = ngx_pcalloc(import->run->pool,
                                  csv->n * sizeof(df_field_t *));
    if (import->columns == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < csv->n; i++) {
        rc = df_import_header_column(import, i);
        if (rc == NGX_ERROR) {
            return rc;
        }

        wrong |= (rc != NGX_OK);
    }

    for (i = 0; i < import->request->model->fields.nelts; i++) {
        field = df_schema_field_at(import->request->model, i);

        if (field->required && !import->seen[i]
            && !field->generated && !field->readonly)
        {
            pointer = df_json_pointer(import->scratch, &root, &field->name);
            df_import_refuse(import, &pointer, "required",
                             "\"%V\" is required", &field->name);
            wrong = 1;
        }
    }

    return wrong ? NGX_ABORT : NGX_OK;
}


static ngx_int_t
df_import_header_column(df_import_t *import, ngx_uint_t i)
{
    ngx_str_t          name, pointer, *nearest;
    const df_field_t  *field;
    const df_model_t  *model;

    static const ngx_str_t  root = ngx_string("");

    model = import->request->model;

    name.data = import->csv->buf + import->csv->values[i].start;
    name.len = import->csv->values[i].len;

    field = df_schema_field(model, &name);

    if (field != NULL && !import->seen[field->index]) {
        import->seen[field->index] = 1;

        if (!df_query_leaves_out(import->request, field)) {
            import->columns[i] = field;
        }

        return NGX_OK;
    }

    pointer = df_json_pointer(import->scratch, &root, &name);

    if (field != NULL) {
        df_import_refuse(import, &pointer, "duplicate",
                         "there are two columns \"%V\"", &name);
        return NGX_DECLINED;
    }

    nearest = df_schema_nearest(model, &name);

    if (nearest != NULL) {
        df_import_refuse(import, &pointer, "unknown_field",
                         "there is no field \"%V\"; did you mean \"%V\"?",
                         &name, nearest);

    } else {
        df_import_refuse(import, &pointer, "unknown_field",
                         "there is no field \"%V\"", &name);
    }

    return NGX_DECLINED;
}


/* what a row has, and what it is told with, are gone with the next row */

static void
df_import_refuse(df_import_t *import, const ngx_str_t *name, const char *code,
    const char *fmt, ...)
{
    va_list        args;
    ngx_str_t      text, copy;
    df_problem_t  *problem;

    problem = &import->run->problem;

    if (problem->items.nelts == DF_PROBLEM_MAX_ITEMS
        || import->told >= DF_IMPORT_TOLD)
    {
        return;
    }

    va_start(args, fmt);
    text = df_str_vprintf(import->scratch, fmt, args);
    va_end(args);

    if (df_str_copy(problem->pool, &copy, name->data, name->len) != NGX_OK) {
        return;
    }

    import->told += copy.len + text.len;

    (void) df_problem_add(problem, DF_PROBLEM_VALIDATION_FAILED,
                          DF_AT_POINTER, &copy, code, "%V", &text);
}
