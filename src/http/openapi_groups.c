
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Aggregates: the body that asks for one or for several, what they answer, and
 * the expressions in them.
 */


#include "http/openapi.h"


static void df_openapi_groups_shared(df_openapi_t *doc);


void
df_openapi_groups(df_openapi_model_t *m, df_writer_t *w)
{
    static const ngx_str_t  name = ngx_string("Groups");

    if (df_openapi_once(m->doc, "shared", &name) == NGX_OK) {
        df_openapi_groups_shared(m->doc);
    }

    df_json_put(w, "'%V.aggregate':{'type':'object','description':"
                "'An aggregate, its parameters as members.','properties':{",
                &m->name);

    df_openapi_members(m, w, DF_AGGREGATE);

    df_json_put(w, "},'additionalProperties':false,'examples':"
                "[{'aggregate':{'count':{'$count':'*'}}}]}");

    df_json_put(w, "'%V.aggregates':{'anyOf':["
                "{'$ref':'#/components/schemas/%V.aggregate'},"
                "{'type':'object','required':['aggregates'],"
                "'properties':{'aggregates':{'type':'object',"
                "'minProperties':1,'maxProperties':%u,"
                "'additionalProperties':"
                "{'$ref':'#/components/schemas/%V.aggregate'}}},"
                "'additionalProperties':false}]}",
                &m->name, &m->name, (ngx_uint_t) DF_AGGREGATES_MAX, &m->name);
}


static void
df_openapi_groups_shared(df_openapi_t *doc)
{
    df_json_put(&doc->shared, "'Groups':{'type':'object',"
                "'required':['data'],'properties':{'data':{'type':'array',"
                "'items':{'type':'object','description':"
                "'A value for each of group_by and of what is aggregated.'}},"
                "'truncated':{'const':true,'description':"
                "'There are more.'}},'additionalProperties':false}");

    df_json_put(&doc->shared, "'GroupsByName':{'type':'object',"
                "'description':'What was asked for in aggregates.',"
                "'additionalProperties':{'$ref':"
                "'#/components/schemas/Groups'}}");

    df_json_put(&doc->shared, "'Names':{'anyOf':[{'type':'array',"
                "'minItems':1,'items':{'type':'string'}},"
                "{'type':'string','description':'Names between commas.'}]}");

    df_json_put(&doc->shared, "'Expressions':{'anyOf':[{'type':'string',"
                "'description':'In infix, between commas.'},"
                "{'type':'array',"
                "'items':{'$ref':'#/components/schemas/Expression'}},"
                "{'type':'object','description':'By their names.',"
                "'additionalProperties':"
                "{'$ref':'#/components/schemas/Expression'}}]}");

    df_json_put(&doc->shared, "'Expression':{'type':['string','object',"
                "'number','boolean','null'],'description':"
                "'A string is in infix: sum(price * stock). The same as an "
                "object: {\\'$sum\\':{\\'$multiply\\':[\\'price\\',"
                "\\'stock\\']}}; a member without $ compares, as in a "
                "filter.'}");
}
