
/*
 * Copyright (C) the ngx_dataflow authors
 *
 * Groups: jobs that wait together and are sent as one.  The one that is sent
 * is a job like others, whose owner is the file that made the group; its
 * members are told from its results, or sent again one by one.
 */


#include <ngx_config.h>
#include "pg/pg_internal.h"


/* takes the members from their queue; NULL without memory, and then they stay
   there and the group is freed */

df_pg_job_t *
df_pg_group_job(df_pg_group_t *group, const df_pg_spec_t *spec)
{
    ngx_uint_t    i;
    df_pg_job_t  *job;

    job = df_pg_job_create(group->members[0]->pool, spec);
    if (job == NULL) {
        ngx_free(group);
        return NULL;
    }

    job->group = group;
    job->expires = group->members[0]->expires;

    for (i = 0; i < group->n; i++) {
        df_pg_pool_unqueue(group->members[i]);
        group->members[i]->state = DF_PG_JOB_MERGED;
    }

    return job;
}


/* a member that is still wanted, and not the group's any more */

df_pg_job_t *
df_pg_group_take(df_pg_group_t *group, ngx_uint_t i)
{
    df_pg_job_t  *job;

    job = group->members[i];
    group->members[i] = NULL;

    if (job->orphan) {
        df_pg_job_free(job);
        return NULL;
    }

    return job;
}


/* what the group did was undone: the member is sent by itself */

void
df_pg_group_resend(df_pg_job_t *job)
{
    job->alone = 1;
    df_pg_count(job->pool, resent);
    df_pg_pool_queue(job->pool, job, 0);
}


/* members are left only when the worker exits */

void
df_pg_group_free(df_pg_group_t *group)
{
    ngx_uint_t  i;

    for (i = 0; i < group->n; i++) {
        if (group->members[i]) {
            df_pg_job_free(group->members[i]);
        }
    }

    ngx_free(group);
}
