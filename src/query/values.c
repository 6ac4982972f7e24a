
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * The body of create, update and replace, or a record of a bulk, to
 * assignments.  All that is wrong with a body is reported together, before the
 * database is asked.
 */


#include <ngx_config.h>
#include "query/query_internal.h"


static ngx_str_t df_query_values_pointer(df_query_values_t *v,
    const ngx_str_t *name);
static ngx_int_t df_query_values_member(df_query_values_t *v,
    const cJSON *node);
static ngx_int_t df_query_values_field(df_query_values_t *v,
    const cJSON *node, const df_field_t *field);
static ngx_int_t df_query_values_stored(df_query_values_t *v,
    const cJSON *node, const df_field_t *field);
static ngx_uint_t df_query_values_is_operator(df_query_values_t *v,
    const cJSON *node, const df_field_t *field);
static const cJSON *df_query_values_named(const cJSON *node);
static ngx_int_t df_query_values_operator(df_query_values_t *v,
    const cJSON *object, const df_field_t *field);
static ngx_int_t df_query_values_unknown(df_query_values_t *v,
    const cJSON *object, const df_field_t *field, const ngx_str_t *name);
static const char *df_query_values_or_put(const df_field_t *field);
static ngx_int_t df_query_values_operand(df_query_values_t *v,
    const cJSON *node, df_assignment_t *a);
static ngx_int_t df_query_values_parse(df_query_values_t *v,
    const cJSON *node, const df_field_t *field, ngx_uint_t element,
    ngx_uint_t constrain, const ngx_str_t *pointer, df_value_t *value);
static ngx_int_t df_query_values_rest(df_query_values_t *v);
static df_assignment_t *df_query_values_push(ngx_array_t *list,
    const df_field_t *field);
static ngx_int_t df_query_values_refuse(df_query_values_t *v,
    const ngx_str_t *pointer, const char *code, const char *fmt, ...);


ngx_int_t
df_query_parse_values(df_request_t *r, const cJSON *body,
    const df_place_t *place, df_problem_t *problem)
{
    df_place_t         root;
    df_query_values_t  v;

    ngx_memzero(&root, sizeof(df_place_t));
    ngx_memzero(&v, sizeof(df_query_values_t));

    v.request = r;
    v.place = place ? place : &root;
    v.problem = problem;

    return df_query_values_read(&v, body);
}


ngx_int_t
df_query_values_read(df_query_values_t *v, const cJSON *body)
{
    ngx_str_t      pointer;
    const cJSON   *node;
    df_request_t  *r;

    r = v->request;

    if (df_json_kind(body) != DF_JSON_OBJECT) {
        pointer = df_query_values_pointer(v, NULL);

        return df_query_values_refuse(v, &pointer, "type",
                                      "expected an object");
    }

    if (v->seen == NULL) {
        v->seen = ngx_palloc(r->pool, r->model->fields.nelts);
        if (v->seen == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_memzero(v->seen, r->model->fields.nelts);

    for (node = body->child; node; node = node->next) {
        if (df_query_values_member(v, node) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    if (r->op != DF_UPDATE && df_query_values_rest(v) == NGX_ERROR) {
        return NGX_ERROR;
    }

    return (v->problem->code == DF_PROBLEM_NONE) ? NGX_OK : NGX_DECLINED;
}


/* of the object, or of a member of it */

static ngx_str_t
df_query_values_pointer(df_query_values_t *v, const ngx_str_t *name)
{
    df_place_t       place;
    df_problem_at_t  at;

    if (name == NULL) {
        return df_query_place_name(v->request->pool, v->place, &at);
    }

    ngx_memzero(&place, sizeof(df_place_t));
    place.parent = v->place;
    place.name = name;

    return df_query_place_name(v->request->pool, &place, &at);
}


static ngx_int_t
df_query_values_member(df_query_values_t *v, const cJSON *node)
{
    ngx_str_t          name, pointer, *nearest;
    const df_field_t  *field;

    name = df_json_name(node);
    field = df_schema_field(v->request->model, &name);

    if (field != NULL && !v->seen[field->index]) {
        v->seen[field->index] = 1;
        return (field == v->apart) ? NGX_OK
                                   : df_query_values_field(v, node, field);
    }

    pointer = df_query_values_pointer(v, &name);

    if (field != NULL) {
        return df_query_values_refuse(v, &pointer, "duplicate",
                                      "\"%V\" is given twice", &name);
    }

    nearest = df_schema_nearest(v->request->model, &name);

    if (nearest != NULL) {
        return df_query_values_refuse(v, &pointer, "unknown_field",
                                      "there is no field \"%V\"; "
                                      "did you mean \"%V\"?", &name, nearest);
    }

    return df_query_values_refuse(v, &pointer, "unknown_field",
                                  "there is no field \"%V\"", &name);
}


static ngx_int_t
df_query_values_field(df_query_values_t *v, const cJSON *node,
    const df_field_t *field)
{
    ngx_int_t         rc;
    ngx_str_t         pointer;
    df_value_t        value;
    df_operation_t    op;
    df_assignment_t  *a;

    op = v->request->op;

    if (df_query_leaves_out(v->request, field)) {
        return NGX_OK;
    }

    if (((field->generated || field->readonly) && !v->request->import)
        || (field->key && op != DF_CREATE))
    {
        if (op == DF_REPLACE) {
            return df_query_values_stored(v, node, field);
        }

        pointer = df_query_values_pointer(v, &field->name);

        return df_query_values_refuse(v, &pointer, "readonly",
                                      "\"%V\" cannot be set", &field->name);
    }

    if (df_query_values_is_operator(v, node, field)) {
        return df_query_values_operator(v, node, field);
    }

    rc = df_query_values_parse(v, node, field, 0, 1, NULL, &value);
    if (rc != NGX_OK) {
        return rc;
    }

    if (field->key && !df_query_values_is_segment(&value.text)) {
        pointer = df_query_values_pointer(v, &field->name);

        return df_query_values_refuse(v, &pointer, "key",
                                      "no path can end in this key");
    }

    a = df_query_values_push(&v->request->values, field);
    if (a == NULL) {
        return NGX_ERROR;
    }

    a->value = value;

    return NGX_OK;
}


/* the record's path must not be another's (RFC 3986, 5.2.4) */

ngx_uint_t
df_query_values_is_segment(const ngx_str_t *key)
{
    ngx_uint_t  i;

    static const ngx_str_t  others[] = {
        ngx_string(""), ngx_string("."), ngx_string("..")
    };

    for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (key->len == others[i].len
            && ngx_memcmp(key->data, others[i].data, key->len) == 0)
        {
            return 0;
        }
    }

    return 1;
}


/*
 * A replacement may hold what a GET has answered.  What it cannot set must
 * then be what is stored, which only the database can tell: 1.0 is 1.
 */

static ngx_int_t
df_query_values_stored(df_query_values_t *v, const cJSON *node,
    const df_field_t *field)
{
    ngx_int_t         rc;
    df_value_t        value, *key;
    df_assignment_t  *a;

    rc = df_query_values_parse(v, node, field, 0, 0, NULL, &value);
    if (rc != NGX_OK) {
        return rc;
    }

    key = &v->request->key;

    if (field->key
        && !value.null
        && value.text.len == key->text.len
        && ngx_memcmp(value.text.data, key->text.data, key->text.len) == 0)
    {
        return NGX_OK;
    }

    a = df_query_values_push(&v->request->expected, field);
    if (a == NULL) {
        return NGX_ERROR;
    }

    a->value = value;

    return NGX_OK;
}


/*
 * No value of a field is written as an object, but a json's: of that a PATCH
 * takes each name with $ for an operator, so that one mistyped is not stored.
 */

static ngx_uint_t
df_query_values_is_operator(df_query_values_t *v, const cJSON *node,
    const df_field_t *field)
{
    if (df_json_kind(node) != DF_JSON_OBJECT || node->child == NULL) {
        return 0;
    }

    if (field->array || field->type->kind != DF_JSON) {
        return 1;
    }

    return v->request->op == DF_UPDATE && df_query_values_named(node) != NULL;
}


/* the first member whose name begins with $ */

static const cJSON *
df_query_values_named(const cJSON *node)
{
    ngx_str_t     name;
    const cJSON  *member;

    for (member = node->child; member; member = member->next) {
        name = df_json_name(member);

        if (name.len && name.data[0] == '$') {
            return member;
        }
    }

    return NULL;
}


static ngx_int_t
df_query_values_operator(df_query_values_t *v, const cJSON *object,
    const df_field_t *field)
{
    ngx_int_t         rc;
    ngx_str_t         name, pointer;
    const cJSON      *node;
    df_assignment_t   a, *added;

    node = df_query_values_named(object);
    name = df_json_name(node ? node : object->child);

    ngx_memzero(&a, sizeof(df_assignment_t));
    a.field = field;
    a.op = df_query_update_operator(field, &name);

    if (a.op == NULL) {
        return df_query_values_unknown(v, object, field, &name);
    }

    if (v->request->op != DF_UPDATE || object->child->next != NULL) {
        pointer = df_query_values_pointer(v, &field->name);

        if (v->request->op != DF_UPDATE) {
            return df_query_values_refuse(v, &pointer, "operator",
                                          "\"%V\" changes a stored value and "
                                          "is for updates", &name);
        }

        return df_query_values_refuse(v, &pointer, "unknown_operator",
                                      "\"%V\" has to stand alone%s", &name,
                                      df_query_values_or_put(field));
    }

    rc = df_query_values_operand(v, node, &a);
    if (rc != NGX_OK) {
        return rc;
    }

    added = df_query_values_push(&v->request->values, field);
    if (added == NULL) {
        return NGX_ERROR;
    }

    *added = a;

    return NGX_OK;
}


static ngx_int_t
df_query_values_unknown(df_query_values_t *v, const cJSON *object,
    const df_field_t *field, const ngx_str_t *name)
{
    ngx_str_t    pointer, names, meant, *nearest;
    df_value_t   value;
    const char  *put;

    meant = *name;

    if (name->len == 0 || name->data[0] != '$') {
        meant = df_str_printf(v->request->pool, "$%V", name);
    }

    nearest = df_query_update_nearest(field, &meant);

    if (meant.len != name->len
        && (nearest == NULL || v->request->op != DF_UPDATE))
    {
        return df_query_values_parse(v, object, field, 0, 1, NULL, &value);
    }

    pointer = df_query_values_pointer(v, &field->name);
    names = df_query_update_names(v->request->pool, field);
    put = df_query_values_or_put(field);

    if (nearest == NULL) {
        return df_query_values_refuse(v, &pointer, "unknown_operator",
                                      "\"%V\" takes no operator \"%V\"; it "
                                      "takes %V%s", &field->name, name,
                                      &names, put);
    }

    return df_query_values_refuse(v, &pointer, "unknown_operator",
                                  "\"%V\" takes no operator \"%V\"; did you "
                                  "mean \"%V\"? It takes %V%s", &field->name,
                                  name, nearest, &names, put);
}


static const char *
df_query_values_or_put(const df_field_t *field)
{
    return (field->type->kind == DF_JSON && !field->array)
           ? "; PUT stores such an object as a value" : "";
}


static ngx_int_t
df_query_values_operand(df_query_values_t *v, const cJSON *node,
    df_assignment_t *a)
{
    ngx_int_t         rc;
    ngx_str_t         pointer;
    const char       *expected;
    df_json_kind_t    kind;
    df_value_error_t  error;

    kind = df_json_kind(node);
    expected = NULL;

    if (a->op->flag && kind != DF_JSON_TRUE) {
        expected = "true";

    } else if (a->op->on_json && kind != DF_JSON_OBJECT) {
        expected = "an object";

    } else if (kind == DF_JSON_NULL && !a->op->on_array) {
        expected = "a value, not null";
    }

    if (expected == NULL && a->op->flag) {
        return NGX_OK;
    }

    pointer = df_query_values_pointer(v, &a->field->name);
    pointer = df_json_pointer(v->request->pool, &pointer, &a->op->name);

    if (expected != NULL) {
        return df_query_values_refuse(v, &pointer, "type", "expected %s",
                                      expected);
    }

    rc = df_query_values_parse(v, node, a->field, a->op->on_array,
                               a->op->constrain, &pointer, &a->value);

    /* a step may be out of the field's bounds, but not be rounded to them */

    if (rc == NGX_OK && a->op->scale
        && df_schema_constrain(a->field, v->request->pool, &a->value, &error)
           == NGX_DECLINED
        && ngx_strcmp(error.code, "scale") == 0)
    {
        return df_query_values_refuse(v, &pointer, error.code, "expected %V",
                                      &error.expected);
    }

    return rc;
}


static ngx_int_t
df_query_values_parse(df_query_values_t *v, const cJSON *node,
    const df_field_t *field, ngx_uint_t element, ngx_uint_t constrain,
    const ngx_str_t *pointer, df_value_t *value)
{
    ngx_int_t         rc;
    ngx_str_t         own;
    df_value_error_t  error;

    ngx_memzero(value, sizeof(df_value_t));

    rc = df_schema_parse_json(field, v->request->pool, node, element,
                              constrain, value, &error);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (pointer == NULL) {
        own = df_query_values_pointer(v, &field->name);
        pointer = &own;
    }

    return df_query_values_refuse(v, pointer, error.code, "expected %V",
                                  &error.expected);
}


/* what is not given: it must not be required; a replacement sets it, too */

static ngx_int_t
df_query_values_rest(df_query_values_t *v)
{
    ngx_uint_t         i;
    ngx_str_t          pointer;
    df_request_t      *r;
    df_assignment_t   *a;
    const df_field_t  *field;

    r = v->request;

    for (i = 0; i < r->model->fields.nelts; i++) {
        field = df_schema_field_at(r->model, i);

        if (v->seen[i] || field->generated || field->readonly
            || (field->key && r->op == DF_REPLACE))
        {
            continue;
        }

        if (field->required) {
            pointer = df_query_values_pointer(v, &field->name);
            (void) df_query_values_refuse(v, &pointer, "required",
                                          "\"%V\" is required", &field->name);
            continue;
        }

        if (r->op == DF_REPLACE) {
            a = df_query_values_push(&r->values, field);
            if (a == NULL) {
                return NGX_ERROR;
            }

            a->use_default = 1;
        }
    }

    return NGX_OK;
}


static df_assignment_t *
df_query_values_push(ngx_array_t *list, const df_field_t *field)
{
    df_assignment_t  *a;

    a = ngx_array_push(list);

    if (a != NULL) {
        ngx_memzero(a, sizeof(df_assignment_t));
        a->field = field;
    }

    return a;
}


static ngx_int_t
df_query_values_refuse(df_query_values_t *v, const ngx_str_t *pointer,
    const char *code, const char *fmt, ...)
{
    va_list    args;
    ngx_str_t  text;

    va_start(args, fmt);
    text = df_str_vprintf(v->request->pool, fmt, args);
    va_end(args);

    return df_problem_add(v->problem, DF_PROBLEM_VALIDATION_FAILED,
                          DF_AT_POINTER, pointer, code, "%V", &text);
}
