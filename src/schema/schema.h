
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * schema: models, their fields and the types of fields; what nginx.conf says
 * of them, how their values are written and read, and how the database is
 * brought to agree.
 */


#ifndef _DF_SCHEMA_H_INCLUDED_
#define _DF_SCHEMA_H_INCLUDED_


#include "pg/pg.h"
#include <ngx_regex.h>


DF_HIDDEN_BEGIN


typedef struct df_type_s      df_type_t;
typedef struct df_field_s     df_field_t;
typedef struct df_relation_s  df_relation_t;
typedef struct df_reverse_s   df_reverse_t;
typedef struct df_index_s     df_index_t;
typedef struct df_model_s     df_model_t;


/* types: one table, types.c; adding a type is adding a row */

typedef enum {
    DF_SMALLINT = 0,
    DF_INTEGER,
    DF_BIGINT,
    DF_NUMERIC,
    DF_REAL,
    DF_DOUBLE,
    DF_BOOLEAN,
    DF_TEXT,
    DF_VARCHAR,
    DF_UUID,
    DF_DATE,
    DF_TIME,
    DF_TIMESTAMP,
    DF_TIMESTAMPTZ,
    DF_INTERVAL,
    DF_JSON,
    DF_BYTEA,
    DF_INET,

    DF_KINDS
} df_kind_t;

/* what may be done with a type */
#define DF_TYPE_NUMBER    0x01  /* $inc, $mul, a JSON number */
#define DF_TYPE_ORDERED   0x02  /* gt, between, sort, $min, min= */
#define DF_TYPE_TEXT      0x04  /* contains, like, regex, pattern= */
#define DF_TYPE_TIME      0x08  /* $now, default=now */
#define DF_TYPE_QUOTED    0x10  /* its JSON is a string */
#define DF_TYPE_ESCAPED   0x20  /* and its text may need escapes */
#define DF_TYPE_EQUAL     0x40  /* eq, in */
#define DF_TYPE_EXACT     0x80  /* parse() gives what PostgreSQL prints, so
                                   that equal values are equal texts */

#define DF_TYPE_SHORT     0x100 /* its text has at most DF_SCHEMA_SHORT_LEN
                                   bytes */
#define DF_SCHEMA_SHORT_LEN  64

/*
 * A value on its way into PostgreSQL, as a text parameter; NUL-terminated.
 * data is NULL for SQL's NULL.
 */
typedef struct {
    ngx_str_t      text;
    unsigned       null:1;
} df_value_t;

/* code: "type", "range", "length", "enum", "pattern", "nul", "scale", "null";
   expected continues a sentence: "price: expected …" */
typedef struct {
    const char    *code;
    ngx_str_t      expected;
} df_value_error_t;

struct df_type_s {
    ngx_str_t      name;        /* in nginx.conf */
    ngx_str_t      sql;         /* in SQL, without its modifiers */
    ngx_str_t      expected;    /* "a whole number from -32768 to 32767" */
    df_kind_t      kind;
    Oid            oid;
    Oid            array_oid;
    ngx_uint_t     flags;

    /* text of a literal to PostgreSQL's text: NGX_OK, NGX_DECLINED with the
       error filled, NGX_ERROR without memory */
    ngx_int_t    (*parse)(const df_field_t *field, ngx_pool_t *pool,
                          const ngx_str_t *literal, df_value_t *value,
                          df_value_error_t *error);

    /* order of two values in the text form that parse() makes: negative, 0 or
       positive, as PostgreSQL orders them; NULL when the type has no order */
    ngx_int_t    (*compare)(const ngx_str_t *a, const ngx_str_t *b);

    /* PostgreSQL's binary form (typsend) to text, at most bound() bytes; it is
       neither quoted nor escaped here, and the text of an escaped type
       (DF_TYPE_ESCAPED) is its binary form.  Nothing is written for bytes that
       are not of the type */
    size_t       (*bound)(const u_char *v, size_t len);
    u_char      *(*encode)(u_char *p, const u_char *v, size_t len);
};

/* by name, for nginx.conf; NULL when there is none */
const df_type_t *df_schema_type(const ngx_str_t *name);
const df_type_t *df_schema_type_of(df_kind_t kind);
/* of a column, and whether it is an array; when its binary form is not known
   here, a type whose values are all null */
const df_type_t *df_schema_type_by_oid(Oid oid, ngx_uint_t *array);


/* fields */

typedef enum {
    DF_DEFAULT_NONE = 0,
    DF_DEFAULT_LITERAL,         /* text holds PostgreSQL's text form */
    DF_DEFAULT_NOW,
    DF_DEFAULT_UUID,
    DF_DEFAULT_SUB,
    DF_DEFAULT_TENANT
} df_default_t;

struct df_field_s {
    ngx_str_t           name;
    ngx_str_t           quoted;         /* "name" with the quotes, for SQL */
    ngx_str_t           selected;       /* what a SELECT list takes: quoted,
                                           or a cast where the binary form is
                                           not what encode() reads (real and
                                           double are read as text) */
    ngx_str_t           member;         /* "name": for JSON */
    const df_type_t    *type;
    ngx_uint_t          index;          /* in model->fields */

    ngx_uint_t          length;         /* varchar(n) or max= of text; 0: any */
    ngx_uint_t          precision;      /* numeric(p,s); 0: any */
    ngx_uint_t          scale;

    df_default_t        default_kind;
    ngx_str_t           default_text;
    ngx_str_t           min;            /* PostgreSQL's text form, or empty; */
    ngx_str_t           max;            /* bounds of the value, or of the
                                           number of characters of a text */
    ngx_str_t           pattern;
#if (NGX_PCRE)
    ngx_regex_t        *regex;
#endif
    ngx_array_t        *choices;        /* enum=: ngx_str_t */
    ngx_str_t           description;

    unsigned            array:1;
    unsigned            required:1;     /* NOT NULL, and no default: needed */
    unsigned            not_null:1;
    unsigned            unique:1;
    unsigned            hidden:1;       /* never answered, filtered or sorted */
    unsigned            readonly:1;     /* not for clients to write */
    unsigned            generated:1;    /* id, created_at, updated_at */
    unsigned            identity:1;     /* id bigint identity */
    unsigned            key:1;

    u_char             *file;           /* where it was declared */
    ngx_uint_t          line;
};

struct df_relation_s {
    ngx_str_t           name;
    ngx_str_t           member;         /* "name": for JSON */
    ngx_str_t           target_name;
    ngx_str_t           field_name;
    ngx_str_t           reverse_name;   /* reverse=; data is NULL without */
    ngx_uint_t          one_way;        /* reverse=off */
    df_model_t         *target;         /* known after df_schema_finish() */
    df_field_t         *field;

    u_char             *file;           /* where it was declared */
    ngx_uint_t          line;
};

/*
 * A relation seen from the model that it leads to: the records of "model"
 * whose relation->field holds the key of the one that has this.
 */

struct df_reverse_s {
    ngx_str_t              name;
    ngx_str_t              member;      /* "name": for JSON */
    ngx_str_t              truncated;   /* "name_truncated": for JSON */
    const df_model_t      *model;
    const df_relation_t   *relation;
};

struct df_index_s {
    ngx_str_t           name;
    ngx_array_t         field_names;    /* ngx_str_t */
    ngx_array_t         fields;         /* df_field_t *, known after
                                           df_schema_finish() */
    ngx_str_t           where;          /* as written, or empty: all rows */
    ngx_str_t           where_sql;      /* known, with the name, after
                                           df_schema_index_where() */
    unsigned            unique:1;

    u_char             *file;           /* where it was declared */
    ngx_uint_t          line;
};

struct df_model_s {
    ngx_str_t           name;
    ngx_str_t           schema;         /* empty: the search path's */
    ngx_str_t           table;
    ngx_str_t           quoted;         /* "schema"."table" for SQL */
    ngx_str_t           description;
    df_database_t      *database;

    ngx_array_t         fields;         /* df_field_t, never moved after
                                           df_schema_finish() */
    ngx_array_t         relations;      /* df_relation_t */
    ngx_array_t         reverses;       /* df_reverse_t, in the order of models
                                           and their relations; after
                                           df_schema_finish() */
    ngx_array_t         indexes;        /* df_index_t */
    df_field_t         *key;
    df_field_t         *created_at;     /* NULL with timestamps off */
    df_field_t         *updated_at;

    ngx_str_t           key_name;       /* "key NAME;" */
    u_char             *key_file;
    ngx_uint_t          key_line;
    ngx_flag_t          timestamps;

    ngx_str_t           signature;      /* hex digest of names and types */

    ngx_uint_t          offered;        /* bits of operations: what its
                                           location exposes, set from there */

    u_char             *file;           /* where it was declared */
    ngx_uint_t          line;
};

/* NULL when the model has no such field */
df_field_t *df_schema_field(const df_model_t *model, const ngx_str_t *name);
/* nearest name that is not hidden, or NULL */
ngx_str_t *df_schema_nearest(const df_model_t *model, const ngx_str_t *name);

static ngx_inline df_field_t *
df_schema_field_at(const df_model_t *model, ngx_uint_t i)
{
    return (df_field_t *) model->fields.elts + i;
}


/* values */

/*
 * A literal of a query or of a body to a parameter, checked against its type
 * and, as far as "constrain" asks (bodies do, filters do not), against length,
 * precision, enum, min, max and pattern.  JSON's null is SQL's NULL, of a json
 * field too.  NGX_OK; NGX_DECLINED with the error filled; NGX_ERROR without
 * memory.  element: the value is one element of an array field.
 */
ngx_int_t df_schema_parse_text(const df_field_t *field, ngx_pool_t *pool,
    const ngx_str_t *literal, ngx_uint_t element, df_value_t *value,
    df_value_error_t *error);
ngx_int_t df_schema_parse_json(const df_field_t *field, ngx_pool_t *pool,
    const cJSON *node, ngx_uint_t element, ngx_uint_t constrain,
    df_value_t *value, df_value_error_t *error);

/* length, precision, enum, min, max and pattern of a parsed value, of a scalar
   or of one element of an array */
ngx_int_t df_schema_constrain(const df_field_t *field, ngx_pool_t *pool,
    const df_value_t *value, df_value_error_t *error);

/* PostgreSQL's array literal of parsed elements, nulls among them */
ngx_int_t df_schema_array(ngx_pool_t *pool, const df_value_t *elements,
    ngx_uint_t n, df_value_t *value);

/* the parameter's type */
static ngx_inline Oid
df_schema_oid(const df_field_t *field)
{
    return field->array ? field->type->array_oid : field->type->oid;
}


/* a column in binary form to JSON; at most df_schema_json_bound() bytes */
size_t df_schema_json_bound(const df_field_t *field, const u_char *v,
    size_t len);
u_char *df_schema_json(const df_field_t *field, u_char *p, const u_char *v,
    size_t len);

/* the same as the text that df_schema_parse_text() takes back: unquoted for
   scalars, JSON for json and arrays (cursors, Location, CSV) */
size_t df_schema_text_bound(const df_field_t *field, const u_char *v,
    size_t len);
u_char *df_schema_text(const df_field_t *field, u_char *p, const u_char *v,
    size_t len);


/* nginx.conf */

typedef struct {
    ngx_array_t         models;         /* df_model_t * */
    ngx_atomic_uint_t   generation;     /* another one with each reading */
} df_schema_conf_t;

ngx_int_t df_schema_conf_init(ngx_conf_t *cf, df_schema_conf_t *conf);

/* dataflow_model NAME { … } and the commands of its block */
df_model_t *df_schema_conf_model(ngx_conf_t *cf, df_schema_conf_t *conf);
char *df_schema_conf_table(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_schema_conf_key(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_schema_conf_field(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_schema_conf_index(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *df_schema_conf_relation(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);

/* "param NAME TYPE [OPTION ...]" of a report: what a client may give, with the
   options of a field that are about values.  Without a default it is required
   or may be left out */
char *df_schema_conf_param(ngx_conf_t *cf, df_field_t *field);

/* min to max words behind the directive's name; the form is shown otherwise */
ngx_int_t df_schema_conf_words(ngx_conf_t *cf, ngx_uint_t min, ngx_uint_t max,
    const char *form);

/* a name of ours; what was wrong is logged */
ngx_int_t df_schema_conf_name(ngx_conf_t *cf, const char *what,
    const ngx_str_t *name);

/*
 * What only the whole configuration tells: automatic fields, keys, relations,
 * SQL names, the "migration" slot of each database that has models and is not
 * "migrate off".
 */
ngx_int_t df_schema_finish(ngx_conf_t *cf, df_schema_conf_t *conf);

/*
 * The condition of a partial index in SQL, without parameters.  Expressions
 * are known further up the road, so it is set from there, after
 * df_schema_finish().
 */
ngx_int_t df_schema_index_where(ngx_conf_t *cf, df_model_t *model,
    df_index_t *index, const ngx_str_t *sql);


/* migration */

/* tells this reading of the configuration from others; df_schema_conf_init()
   calls it */
void df_schema_generation_init(df_schema_conf_t *conf);

/* the field that a constraint made by the migration guards, or NULL */
df_field_t *df_schema_constraint_field(const df_model_t *model,
    const ngx_str_t *constraint);

typedef enum {
    DF_MIGRATION_PENDING = 0,
    DF_MIGRATION_RUNNING,
    DF_MIGRATION_DONE,          /* the database agrees */
    DF_MIGRATION_DIFFERS,       /* differences are left; see the log */
    DF_MIGRATION_FAILED         /* to be tried again */
} df_migration_state_t;

/* in shared memory, the database's "migration" slot */
#define DF_MIGRATION_REPORTS     16
#define DF_MIGRATION_REPORT_LEN  256

typedef struct {
    ngx_atomic_t   generation;  /* of the configuration that wrote this */
    ngx_atomic_t   state;       /* df_migration_state_t */
    ngx_atomic_t   changed;     /* time of the last change of state */
    ngx_atomic_t   nreports;    /* differences found, may exceed the array */
    u_char         reports[DF_MIGRATION_REPORTS][DF_MIGRATION_REPORT_LEN];
} df_migration_t;

/* starts the migrator (in one worker) and opens the pools when it is done */
ngx_int_t df_schema_init_process(ngx_cycle_t *cycle, df_pg_conf_t *pg,
    df_schema_conf_t *schema);


DF_HIDDEN_END


#endif /* _DF_SCHEMA_H_INCLUDED_ */
