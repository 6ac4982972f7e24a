
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The parameters of operations that have a name of their own: a table of how
 * each is described.  Every one is a component, to which operations refer.
 */


#include "http/openapi.h"


typedef struct df_openapi_parameter_s  df_openapi_parameter_t;

typedef void (*df_openapi_parameter_pt)(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t body);

struct df_openapi_parameter_s {
    ngx_str_t                 name;
    ngx_uint_t                operations;   /* bits; 0: all that take it */
    const char               *key;          /* "Cursor": of all models;
                                               "sort": products.sort */
    const char               *schema;       /* in a query; %V is the model */
    const char               *member;       /* in a body, if it differs */
    const char               *description;
    df_openapi_parameter_pt   write;        /* instead of a schema */
    unsigned                  shared:1;
    unsigned                  list:1;       /* values between commas */
    unsigned                  relations:1;  /* for models that have some */
};


static void df_openapi_parameter(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t op, const ngx_str_t *name);
static const df_openapi_parameter_t *df_openapi_parameter_find(
    df_openapi_model_t *m, df_operation_t op, const ngx_str_t *name);
static void df_openapi_parameter_add(df_openapi_model_t *m,
    const ngx_str_t *name, const ngx_str_t *key,
    const df_openapi_parameter_t *p);
static void df_openapi_parameter_schema(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_parameter_t *p, ngx_uint_t body);
static void df_openapi_parameter_selection(df_openapi_model_t *m,
    df_writer_t *w, ngx_uint_t body);
static void df_openapi_parameter_limit(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t body);
static void df_openapi_parameter_groups(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t body);
static void df_openapi_parameter_rows(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t n);
static void df_openapi_parameter_offset(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t body);


#define DF_OPENAPI_LIST    (1u << DF_LIST)
#define DF_OPENAPI_GROUPS  (1u << DF_AGGREGATE)

#define DF_OPENAPI_NAMES(schema)                                              \
    "{'type':'array','minItems':1,"                                           \
    "'items':{'$ref':'#/components/schemas/%V." schema "'}}"

#define DF_OPENAPI_NAMES_OR_TEXT(schema)                                      \
    "{'anyOf':[" DF_OPENAPI_NAMES(schema) "," DF_OPENAPI_TEXT "]}"

#define DF_OPENAPI_TEXT                                                       \
    "{'type':'string','description':'Names between commas.'}"
#define DF_OPENAPI_WORDS                                                      \
    "{'type':'array','minItems':1,'items':{'type':'string'}}"
#define DF_OPENAPI_WORDS_OR_TEXT                                              \
    "{'$ref':'#/components/schemas/Names'}"
#define DF_OPENAPI_EXPRESSION                                                 \
    "{'$ref':'#/components/schemas/Expression'}"
#define DF_OPENAPI_EXPRESSIONS                                                \
    "{'$ref':'#/components/schemas/Expressions'}"

/* fields whose values are aggregated, each as NAME_field */

#define df_openapi_values(word, component, text)                              \
    { .name = ngx_string(word), .operations = DF_OPENAPI_GROUPS,              \
      .key = component, .shared = 1, .list = 1,                               \
      .schema = DF_OPENAPI_WORDS, .member = DF_OPENAPI_WORDS_OR_TEXT,         \
      .description = text }


static const df_openapi_parameter_t  df_openapi_parameter_table[] = {

    { .name = ngx_string("filter"), .key = "filter",
      .schema = "{'type':'string','contentMediaType':'application/json',"
                "'contentSchema':"
                "{'$ref':'#/components/schemas/%V.filter'}}",
      .member = "{'$ref':'#/components/schemas/%V.filter'}",
      .description = "A filter as JSON; it must hold besides the conditions "
                     "on fields." },

    { .name = ngx_string("where"), .operations = DF_OPENAPI_LIST,
      .key = "Where", .shared = 1,
      .schema = "{'type':'string'}",
      .member = "{'type':['string','object']}",
      .description = "A condition such as: price > 100 and active = true" },

    { .name = ngx_string("where"), .key = "Where", .shared = 1,
      .schema = "{'type':'string'}",
      .member = "{'type':['string','object']}",
      .description = "A condition such as: price > 100 and active = true" },

    { .name = ngx_string("sort"), .operations = DF_OPENAPI_LIST,
      .key = "sort", .list = 1,
      .schema = DF_OPENAPI_NAMES("sort"),
      .member = DF_OPENAPI_NAMES_OR_TEXT("sort"),
      .description = "The order; - before a name: descending." },

    { .name = ngx_string("fields"), .operations = DF_INCLUDES,
      .key = "selection", .list = 1, .relations = 1,
      .write = df_openapi_parameter_selection,
      .description = "What is answered; all fields when it is not given." },

    { .name = ngx_string("fields"), .key = "fields", .list = 1,
      .schema = DF_OPENAPI_NAMES("fields"),
      .member = DF_OPENAPI_NAMES_OR_TEXT("fields"),
      .description = "What is answered; all fields when it is not given." },

    { .name = ngx_string("include"), .key = "include", .list = 1,
      .relations = 1,
      .schema = DF_OPENAPI_NAMES("include"),
      .member = DF_OPENAPI_NAMES_OR_TEXT("include"),
      .description = "Records within the record, over relations." },

    { .name = ngx_string("limit"), .operations = DF_OPENAPI_LIST,
      .key = "limit", .write = df_openapi_parameter_limit,
      .description = "Rows of a page; all is for text/csv and "
                     "application/x-ndjson." },

    { .name = ngx_string("limit"), .operations = DF_OPENAPI_GROUPS,
      .key = "groups", .write = df_openapi_parameter_groups,
      .description = "Rows that are answered; all is for text/csv and "
                     "application/x-ndjson." },

    { .name = ngx_string("offset"), .key = "offset",
      .write = df_openapi_parameter_offset,
      .description = "Rows to leave out; not with a cursor." },

    { .name = ngx_string("cursor"), .key = "Cursor", .shared = 1,
      .schema = "{'type':'string'}",
      .description = "Goes on behind a page: its next." },

    { .name = ngx_string("count"), .operations = DF_OPENAPI_LIST,
      .key = "Count", .shared = 1,
      .schema = "{'type':'string','enum':['none','exact','estimated'],"
                "'default':'none'}",
      .description = "Adds the number of all rows that match." },

    { .name = ngx_string("dry_run"), .key = "DryRun", .shared = 1,
      .schema = "{'type':'boolean','default':false}",
      .description = "Does everything, and takes it back." },

    { .name = ngx_string("group_by"), .key = "GroupBy", .shared = 1,
      .schema = "{'type':'string'}", .member = DF_OPENAPI_EXPRESSIONS,
      .description = "Rows of equal values are one: names or expressions "
                     "between commas, each with its own name if it is wanted: "
                     "date_trunc('day', created_at) as day" },

    df_openapi_values("sum", "Sum", "Fields that are added up."),
    df_openapi_values("avg", "Avg", "Fields of which there is the average."),
    df_openapi_values("min", "Min", "Fields of which there is the least."),
    df_openapi_values("max", "Max", "Fields of which there is the greatest."),
    df_openapi_values("count", "CountOf",
                      "Fields whose values are counted; *: rows."),
    df_openapi_values("count_distinct", "CountDistinct",
                      "Fields whose different values are counted."),

    { .name = ngx_string("aggregate"), .key = "Aggregate", .shared = 1,
      .schema = "{'type':'string'}", .member = DF_OPENAPI_EXPRESSIONS,
      .description = "Expressions between commas: sum(price * stock) as "
                     "worth, count(*)" },

    { .name = ngx_string("having"), .key = "Having", .shared = 1,
      .schema = "{'type':'string'}", .member = DF_OPENAPI_EXPRESSION,
      .description = "A condition on what is answered: count > 3" },

    { .name = ngx_string("sort"), .operations = DF_OPENAPI_GROUPS,
      .key = "GroupSort", .shared = 1, .list = 1,
      .schema = DF_OPENAPI_WORDS, .member = DF_OPENAPI_WORDS_OR_TEXT,
      .description = "The order, by names of what is answered; - before one: "
                     "descending." },

    { .name = ngx_string("timezone"), .key = "Timezone", .shared = 1,
      .schema = "{'type':'string','default':'UTC'}",
      .description = "Of date_trunc and extract, such as Europe/Berlin." },

    { .name = ngx_string("on"), .key = "on", .list = 1,
      .schema = DF_OPENAPI_NAMES("fields"),
      .description = "Of an import: fields of which no two records have the "
                     "same; a record that is there is changed." },

    { .name = ngx_string("update"), .key = "update", .list = 1,
      .schema = DF_OPENAPI_NAMES("fields"),
      .description = "Of an import with on: the fields that are changed; "
                     "without it all that are given." },

    { .name = ngx_string("keep"), .key = "Keep", .shared = 1,
      .schema = "{'type':'string','enum':['generated']}",
      .description = "Of an import: what is in columns that are generated, "
                     "which it else passes over." }
};

#define DF_OPENAPI_PARAMETERS                                                 \
    (sizeof(df_openapi_parameter_table) / sizeof(df_openapi_parameter_t))


void
df_openapi_parameters(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t op)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    for (i = 0; df_query_describe_parameter(op, i, &name) == NGX_OK; i++) {
        df_openapi_parameter(m, w, op, &name);
    }
}


void
df_openapi_import_parameters(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t op)
{
    ngx_str_t   name;
    ngx_uint_t  i;

    for (i = 0;
         df_query_describe_parameter(DF_OPERATIONS, i, &name) == NGX_OK;
         i++)
    {
        if (!df_openapi_is_parameter(op, &name)) {
            df_openapi_parameter(m, w, op, &name);
        }
    }
}


ngx_uint_t
df_openapi_is_parameter(df_operation_t op, const ngx_str_t *name)
{
    ngx_str_t   parameter;
    ngx_uint_t  i;

    for (i = 0; df_query_describe_parameter(op, i, &parameter) == NGX_OK; i++)
    {
        if (parameter.len == name->len
            && ngx_memcmp(parameter.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
df_openapi_parameter(df_openapi_model_t *m, df_writer_t *w, df_operation_t op,
    const ngx_str_t *name)
{
    ngx_str_t                      key;
    const df_openapi_parameter_t  *p;

    p = df_openapi_parameter_find(m, op, name);

    if (p == NULL) {
        return;
    }

    key = p->shared ? df_str_printf(m->doc->pool, p->key, name)
                    : df_str_printf(m->doc->pool, "%V.%s", &m->name, p->key);

    if (df_openapi_once(m->doc, "parameter", &key) == NGX_OK) {
        df_openapi_parameter_add(m, name, &key, p);
    }

    df_json_put(w, "{'$ref':'#/components/parameters/%V'}", &key);
}


void
df_openapi_members(df_openapi_model_t *m, df_writer_t *w, df_operation_t op)
{
    ngx_str_t                      name;
    ngx_uint_t                     i;
    const df_openapi_parameter_t  *p;

    for (i = 0; df_query_describe_parameter(op, i, &name) == NGX_OK; i++) {
        p = df_openapi_parameter_find(m, op, &name);

        if (p) {
            df_json_put(w, "'%V':", &name);
            df_openapi_parameter_schema(m, w, p, 1);
        }
    }
}


/*
 * Of some names there are several: the first that fits operation and model.
 * NULL when the model has no use for it; what has no row yet is a text.
 */

static const df_openapi_parameter_t *
df_openapi_parameter_find(df_openapi_model_t *m, df_operation_t op,
    const ngx_str_t *name)
{
    ngx_uint_t                     i, known;
    const df_openapi_parameter_t  *p;

    static const df_openapi_parameter_t  unknown = {
        .key = "%V", .shared = 1, .schema = "{'type':'string'}",
        .description = ""
    };

    known = 0;

    for (i = 0; i < DF_OPENAPI_PARAMETERS; i++) {
        p = &df_openapi_parameter_table[i];

        if (p->name.len != name->len
            || ngx_memcmp(p->name.data, name->data, name->len) != 0)
        {
            continue;
        }

        known = 1;

        if ((p->operations == 0 || (p->operations & (1u << op)))
            && (!p->relations || df_openapi_relates(m->model)))
        {
            return p;
        }
    }

    return known ? NULL : &unknown;
}


static void
df_openapi_parameter_add(df_openapi_model_t *m, const ngx_str_t *name,
    const ngx_str_t *key, const df_openapi_parameter_t *p)
{
    df_writer_t  *w;

    w = &m->doc->parameters;

    df_json_put(w, "'%V':{'name':'%V','in':'query','description':'%s'", key,
                name, p->description);

    if (p->list) {
        df_json_put(w, "'explode':false");
    }

    df_json_put(w, "'schema':");
    df_openapi_parameter_schema(m, w, p, 0);
    df_json_put(w, "}");
}


static void
df_openapi_parameter_schema(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_parameter_t *p, ngx_uint_t body)
{
    if (p->write) {
        p->write(m, w, body);

    } else if (body && p->member) {
        df_json_put(w, p->member, &m->name);

    } else {
        df_json_put(w, p->schema, &m->name);
    }
}


static void
df_openapi_parameter_selection(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t body)
{
    ngx_str_t  names;

    if (df_openapi_reached(m, DF_OPENAPI_RELATIONS|DF_OPENAPI_REVERSES,
                           &names)
        != NGX_OK)
    {
        w->failed = 1;
        return;
    }

    df_json_put(w, body ? "{'anyOf':[{" : "{");
    df_json_put(w, "'type':'array','minItems':1,'items':{'anyOf':["
                "{'$ref':'#/components/schemas/%V.fields'},"
                "{'type':'string',"
                "'pattern':'^(%V)([.][a-z0-9_]+)" "{0,3}$'}]}",
                &m->name, &names);
    df_json_put(w, body ? "}," DF_OPENAPI_TEXT "]}" : "}");
}


/* as dataflow_limit_rows has them */

static void
df_openapi_parameter_limit(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t body)
{
    df_openapi_parameter_rows(m, w, m->conf->rules.default_limit);
}


static void
df_openapi_parameter_groups(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t body)
{
    df_openapi_parameter_rows(m, w, m->conf->rules.max_limit);
}


static void
df_openapi_parameter_rows(df_openapi_model_t *m, df_writer_t *w, ngx_uint_t n)
{
    df_rules_t  *rules;

    rules = &m->conf->rules;

    if (rules->stream) {
        df_json_put(w, "{'anyOf':[{'type':'integer','minimum':0,"
                    "'maximum':%u},{'const':'all'}],'default':%u}",
                    rules->max_limit, n);

    } else {
        df_json_put(w, "{'type':'integer','minimum':0,'maximum':%u,"
                    "'default':%u}", rules->max_limit, n);
    }
}


static void
df_openapi_parameter_offset(df_openapi_model_t *m, df_writer_t *w,
    ngx_uint_t body)
{
    df_json_put(w, "{'type':'integer','minimum':0,'maximum':%u}",
                m->conf->rules.max_offset);
}
