
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The parameters of operations: those that have a name of their own are a
 * table, the others are each field with each operator it takes.  Every one is
 * a component, and an operation refers to it.
 */


#include "http/openapi.h"


typedef struct {
    ngx_str_t     name;
    const char   *key;          /* when all models share it */
    const char   *schema;       /* in a query; %V is the model */
    const char   *member;       /* in a body, when it differs there */
    const char   *description;
    void        (*write)(df_openapi_model_t *m, df_writer_t *w);
                                /* without a schema: by the location */
    unsigned      list:1;       /* values between commas */
} df_openapi_parameter_t;


static const df_openapi_parameter_t *df_openapi_parameter_find(
    const ngx_str_t *name);
static void df_openapi_parameter_add(df_openapi_model_t *m,
    const ngx_str_t *name, const ngx_str_t *key,
    const df_openapi_parameter_t *p);
static void df_openapi_parameter_schema(df_openapi_model_t *m, df_writer_t *w,
    const df_openapi_parameter_t *p, ngx_uint_t body);
static void df_openapi_parameter_limit(df_openapi_model_t *m, df_writer_t *w);
static void df_openapi_parameter_offset(df_openapi_model_t *m, df_writer_t *w);
static void df_openapi_condition(df_openapi_model_t *m, df_writer_t *w,
    const df_field_t *field, const df_operator_info_t *op);
static void df_openapi_condition_add(df_openapi_model_t *m,
    const ngx_str_t *name, const ngx_str_t *key, const df_operator_info_t *op);
static void df_openapi_condition_schema(df_writer_t *w,
    const df_operator_info_t *op);
static void df_openapi_reaches(df_openapi_model_t *m, df_writer_t *w);


#define DF_OPENAPI_NAMES(schema)                                              \
    "{'type':'array','minItems':1,"                                           \
    "'items':{'$ref':'#/components/schemas/%V." schema "'}}"

#define DF_OPENAPI_NAMES_OR_TEXT(schema)                                      \
    "{'anyOf':[" DF_OPENAPI_NAMES(schema) ",{'type':'string',"                \
    "'description':'Names between commas.'}]}"

static const df_openapi_parameter_t  df_openapi_parameter_table[] = {

    { ngx_string("filter"), NULL,
      "{'type':'string','contentMediaType':'application/json',"
      "'contentSchema':{'$ref':'#/components/schemas/%V.filter'}}",
      "{'$ref':'#/components/schemas/%V.filter'}",
      "A filter as JSON; it must hold besides the conditions on fields.",
      NULL, 0 },

    { ngx_string("where"), "Where",
      "{'type':'string'}", NULL,
      "A condition such as: price > 100 and active = true", NULL, 0 },

    { ngx_string("sort"), NULL,
      DF_OPENAPI_NAMES("sort"), DF_OPENAPI_NAMES_OR_TEXT("sort"),
      "The order; - before a name: descending.", NULL, 1 },

    { ngx_string("fields"), NULL,
      DF_OPENAPI_NAMES("fields"), DF_OPENAPI_NAMES_OR_TEXT("fields"),
      "What is answered; all of it when it is not given.", NULL, 1 },

    { ngx_string("limit"), NULL,
      NULL, NULL,
      "Rows of a page; all for text/csv and application/x-ndjson only.",
      df_openapi_parameter_limit, 0 },

    { ngx_string("offset"), NULL,
      NULL, NULL,
      "Rows to leave out; not with a cursor.",
      df_openapi_parameter_offset, 0 },

    { ngx_string("cursor"), "Cursor",
      "{'type':'string'}", NULL,
      "Goes on behind a page: its next.", NULL, 0 },

    { ngx_string("count"), "Count",
      "{'type':'string','enum':['none','exact','estimated'],"
      "'default':'none'}", NULL,
      "Adds the number of all rows that match.", NULL, 0 },

    { ngx_string("dry_run"), "DryRun",
      "{'type':'boolean','default':false}", NULL,
      "Does everything, and takes it back.", NULL, 0 }
};

#define DF_OPENAPI_PARAMETERS                                                 \
    (sizeof(df_openapi_parameter_table) / sizeof(df_openapi_parameter_t))


/* a parameter that is not in the table yet is a text */

static const df_openapi_parameter_t  df_openapi_parameter_unknown = {
    ngx_null_string, NULL, "{'type':'string'}", NULL, NULL, NULL, 0
};


void
df_openapi_parameters(df_openapi_model_t *m, df_writer_t *w,
    df_operation_t op)
{
    ngx_str_t                      name, key;
    ngx_uint_t                     i;
    const df_openapi_parameter_t  *p;

    for (i = 0; df_query_describe_parameter(op, i, &name) == NGX_OK; i++) {
        p = df_openapi_parameter_find(&name);

        if (p->key) {
            key.data = (u_char *) p->key;
            key.len = ngx_strlen(p->key);

        } else {
            key = df_str_printf(m->doc->pool, "%V.%V", &m->name, &name);
        }

        if (df_openapi_once(m->doc, "parameter", &key) == NGX_OK) {
            df_openapi_parameter_add(m, &name, &key, p);
        }

        df_json_put(w, "{'$ref':'#/components/parameters/%V'}", &key);
    }
}


void
df_openapi_members(df_openapi_model_t *m, df_writer_t *w, df_operation_t op)
{
    ngx_str_t                      name;
    ngx_uint_t                     i;
    const df_openapi_parameter_t  *p;

    for (i = 0; df_query_describe_parameter(op, i, &name) == NGX_OK; i++) {
        p = df_openapi_parameter_find(&name);

        df_json_put(w, "'%V':", &name);
        df_openapi_parameter_schema(m, w, p, 1);
    }
}


static const df_openapi_parameter_t *
df_openapi_parameter_find(const ngx_str_t *name)
{
    ngx_uint_t                     i;
    const df_openapi_parameter_t  *p;

    for (i = 0; i < DF_OPENAPI_PARAMETERS; i++) {
        p = &df_openapi_parameter_table[i];

        if (p->name.len == name->len
            && ngx_memcmp(p->name.data, name->data, name->len) == 0)
        {
            return p;
        }
    }

    return &df_openapi_parameter_unknown;
}


static void
df_openapi_parameter_add(df_openapi_model_t *m, const ngx_str_t *name,
    const ngx_str_t *key, const df_openapi_parameter_t *p)
{
    df_writer_t  *w;

    w = &m->doc->parameters;

    df_json_put(w, "'%V':{'name':'%V','in':'query'", key, name);

    if (p->description) {
        df_json_put(w, "'description':'%s'", p->description);
    }

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
        p->write(m, w);

    } else if (body && p->member) {
        df_json_put(w, p->member, &m->name);

    } else {
        df_json_put(w, p->schema, &m->name);
    }
}


/* as dataflow_limit_rows has them */

static void
df_openapi_parameter_limit(df_openapi_model_t *m, df_writer_t *w)
{
    df_rules_t  *rules;

    rules = &m->conf->rules;

    if (rules->stream) {
        df_json_put(w, "{'anyOf':[{'type':'integer','minimum':0,"
                    "'maximum':%u},{'const':'all'}],'default':%u}",
                    rules->max_limit, rules->default_limit);

    } else {
        df_json_put(w, "{'type':'integer','minimum':0,'maximum':%u,"
                    "'default':%u}", rules->max_limit, rules->default_limit);
    }
}


static void
df_openapi_parameter_offset(df_openapi_model_t *m, df_writer_t *w)
{
    df_json_put(w, "{'type':'integer','minimum':0,'maximum':%u}",
                m->conf->rules.max_offset);
}


/* conditions */

void
df_openapi_conditions(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_uint_t           i, n;
    const df_field_t    *field;
    df_operator_info_t   op;

    for (i = 0; i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (field->hidden) {
            continue;
        }

        for (n = 0;
             df_query_describe_operator(field, 0, n, &op) == NGX_OK;
             n++)
        {
            df_openapi_condition(m, w, field, &op);
        }
    }

    df_openapi_reaches(m, w);
}


/* "price" is "price__eq"; equal conditions of several models are one */

static void
df_openapi_condition(df_openapi_model_t *m, df_writer_t *w,
    const df_field_t *field, const df_operator_info_t *op)
{
    ngx_str_t    name, key, type;
    ngx_pool_t  *pool;

    pool = m->doc->pool;

    if (op->name.len == 2 && ngx_memcmp(op->name.data, "eq", 2) == 0) {
        name = field->name;

    } else {
        name = df_str_printf(pool, "%V__%V", &field->name, &op->name);
    }

    type = df_openapi_type_key(pool, field);
    key = df_str_printf(pool, "%V.%V", &name, &type);

    if (df_openapi_once(m->doc, "parameter", &key) == NGX_OK) {
        df_openapi_condition_add(m, &name, &key, op);
    }

    df_json_put(w, "{'$ref':'#/components/parameters/%V'}", &key);
}


static void
df_openapi_condition_add(df_openapi_model_t *m, const ngx_str_t *name,
    const ngx_str_t *key, const df_operator_info_t *op)
{
    df_writer_t  *w;

    w = &m->doc->parameters;

    df_json_put(w, "'%V':{'name':'%V','in':'query'", key, name);

    if (op->operand == DF_OPERAND_LIST || op->operand == DF_OPERAND_TWO
        || op->operand == DF_OPERAND_ELEMENTS)
    {
        df_json_put(w, "'explode':false");
    }

    df_json_put(w, "'schema':{");
    df_openapi_condition_schema(w, op);
    df_json_put(w, "}}");
}


static void
df_openapi_condition_schema(df_writer_t *w, const df_operator_info_t *op)
{
    const char  *open;

    if (op->array) {
        df_json_put(w, "'type':'string',"
                    "'contentMediaType':'application/json',"
                    "'contentSchema':{");
        df_openapi_plain(w, op->type, 1, DF_OPENAPI_BODY, 0);
        df_json_put(w, "}");
        return;
    }

    switch (op->operand) {

    case DF_OPERAND_TWO:
        open = "'type':'array','minItems':2,'maxItems':2,'items':{";
        break;

    case DF_OPERAND_LIST:
    case DF_OPERAND_ELEMENTS:
        open = "'type':'array','items':{";
        break;

    default:
        open = NULL;
    }

    if (open) {
        df_json_put(w, open);
    }

    if (op->type->kind == DF_JSON) {
        df_json_put(w, "'type':'string',"
                    "'contentMediaType':'application/json'");

    } else {
        df_openapi_plain(w, op->type, 0, DF_OPENAPI_QUERY, 0);
    }

    if (open) {
        df_json_put(w, "}");
    }
}


/*
 * What is within json fields and in records that relations lead to has no list
 * of names.  The parameter's own, which no field can have, is not sent: its
 * members are.
 */

static void
df_openapi_reaches(df_openapi_model_t *m, df_writer_t *w)
{
    ngx_str_t     names, key;
    df_writer_t  *p;

    if (df_openapi_reached(m, 1, &names) != NGX_OK) {
        return;
    }

    p = &m->doc->parameters;
    key = df_str_printf(m->doc->pool, "%V.paths", &m->name);

    if (df_openapi_once(m->doc, "parameter", &key) == NGX_OK) {
        df_json_put(p, "'%V':{'name':'field.path','in':'query',"
                    "'style':'form','explode':true,'description':"
                    "'What lies within a json field, or in the record that a "
                    "relation leads to: attrs.size__gte, customer.name',"
                    "'schema':{'type':'object','patternProperties':"
                    "{'^(%V)[.]':{'type':'string'}},"
                    "'additionalProperties':false}}", &key, &names);
    }

    df_json_put(w, "{'$ref':'#/components/parameters/%V'}", &key);
}


ngx_int_t
df_openapi_reached(df_openapi_model_t *m, ngx_uint_t fields,
    ngx_str_t *names)
{
    ngx_uint_t            i;
    df_writer_t           w;
    const df_field_t     *field;
    const df_relation_t  *relation;

    if (df_writer_init(&w, m->doc->pool, 128) != NGX_OK) {
        return NGX_ERROR;
    }

    for (i = 0; fields && i < m->model->fields.nelts; i++) {
        field = df_schema_field_at(m->model, i);

        if (field->type->kind == DF_JSON && !field->array && !field->hidden) {
            (void) df_writer_printf(&w, "%V|", &field->name);
        }
    }

    relation = m->model->relations.elts;

    for (i = 0; i < m->model->relations.nelts; i++) {
        (void) df_writer_printf(&w, "%V|", &relation[i].name);
    }

    if (df_writer_text(&w, names) != NGX_OK) {
        return NGX_ERROR;
    }

    if (names->len == 0) {
        return NGX_DECLINED;
    }

    names->len--;

    return NGX_OK;
}
