
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Problems in the document: their schema, and a response for each status that
 * the kinds of problems have.
 */


#include "http/openapi.h"


static void df_openapi_problem_response(df_writer_t *w, ngx_uint_t status);


#define DF_OPENAPI_UNPROCESSABLE  422

#define df_openapi_problem_bit(status)  ((uint64_t) 1 << ((status) - 400) % 64)


void
df_openapi_refusals(df_openapi_t *doc, df_writer_t *w,
    const ngx_uint_t *statuses)
{
    for ( /* void */ ; *statuses; statuses++) {
        doc->problems |= df_openapi_problem_bit(*statuses);

        df_json_put(w, "'%u':{'$ref':'#/components/responses/Problem%u'}",
                    *statuses, *statuses);
    }

    df_json_put(w, "'default':{'$ref':'#/components/responses/Problem'}");
}


void
df_openapi_problem_schemas(df_writer_t *w)
{
    ngx_str_t   name, title;
    ngx_uint_t  i, status;

    df_json_put(w, "'Problem':{'type':'object','description':"
                "'What went wrong, RFC 9457.','required':['type','title',"
                "'status','code'],'properties':{"
                "'type':{'type':'string','format':'uri-reference'},"
                "'title':{'type':'string'},"
                "'status':{'type':'integer','minimum':400,'maximum':599},"
                "'detail':{'type':'string','description':'For people.'},"
                "'instance':{'type':'string','format':'uri',"
                "'description':'The request, as the server logs it.'},");

    df_json_put(w, "'code':{'type':'string','description':"
                "'For programs; it does not change.','enum':[");

    for (i = DF_PROBLEM_NONE + 1; i < DF_PROBLEM_MAX; i++) {
        df_problem_kind(i, &status, &name, &title);
        df_json_put(w, "'%V'", &name);
    }

    df_json_put(w, "]},'sqlstate':{'type':'string',"
                "'pattern':'^[0-9A-Z]{5}$'},"
                "'constraint':{'type':'string',"
                "'description':'Of the database.'},"
                "'errors':{'type':'array','maxItems':%u,'items':"
                "{'$ref':'#/components/schemas/ProblemItem'}}},"
                "'additionalProperties':false}",
                (ngx_uint_t) DF_PROBLEM_MAX_ITEMS);

    df_json_put(w, "'ProblemItem':{'type':'object','description':"
                "'A place where something is wrong.',"
                "'required':['code','detail'],'properties':{"
                "'pointer':{'type':'string','description':"
                "'Into the body, RFC 6901.'},"
                "'parameter':{'type':'string'},'header':{'type':'string'},"
                "'line':{'type':'integer','minimum':1,'description':"
                "'Of a body of lines.'},"
                "'code':{'type':'string'},'detail':{'type':'string'}},"
                "'oneOf':[{'required':['pointer']},{'required':['parameter']},"
                "{'required':['header']}],'additionalProperties':false}");
}


#define DF_OPENAPI_PROBLEM                                                    \
    "'content':{'application/problem+json':{'schema':"                        \
    "{'$ref':'#/components/schemas/Problem'}}}}"


void
df_openapi_problem_responses(df_openapi_t *doc, df_writer_t *w)
{
    uint64_t    written;
    ngx_str_t   name, title;
    ngx_uint_t  i, status;

    if (doc->problems) {
        df_json_put(w, "'Problem':{'description':'What else may be wrong.',"
                    DF_OPENAPI_PROBLEM);
    }

    written = 0;

    for (i = DF_PROBLEM_NONE + 1; i < DF_PROBLEM_MAX; i++) {
        df_problem_kind(i, &status, &name, &title);

        if (df_openapi_problem_bit(status) & doc->problems & ~written) {
            written |= df_openapi_problem_bit(status);
            df_openapi_problem_response(w, status);
        }
    }
}


/* of all kinds of problems that have the status; what a body limits by itself
   is not found before it is carried out */

static void
df_openapi_problem_response(df_writer_t *w, ngx_uint_t status)
{
    ngx_str_t    name, title, names;
    ngx_uint_t   i, other;
    df_writer_t  list;

    if (df_writer_init(&list, w->pool, 256) != NGX_OK) {
        w->failed = 1;
        return;
    }

    for (i = DF_PROBLEM_NONE + 1; i < DF_PROBLEM_MAX; i++) {
        df_problem_kind(i, &other, &name, &title);

        if (other == status
            || (status == DF_OPENAPI_UNPROCESSABLE
                && i == DF_PROBLEM_LIMIT_EXCEEDED))
        {
            (void) df_writer_printf(&list, "%s%V",
                                    df_writer_length(&list) ? ", " : "",
                                    &name);
        }
    }

    if (df_writer_text(&list, &names) != NGX_OK) {
        w->failed = 1;
        return;
    }

    df_json_put(w, "'Problem%u':{'description':'%V'", status, &names);

    if (status == 409 || status == 503 || status == 504) {
        df_json_put(w, "'headers':{'Retry-After':{'description':'Seconds.',"
                    "'schema':{'type':'integer'}}}");
    }

    df_json_put(w, DF_OPENAPI_PROBLEM);
}
