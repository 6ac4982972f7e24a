// Calls by openapi-fetch.  That they compile is half of the test: the types
// are those of the document.

import createClient from 'openapi-fetch';

import type { components, paths } from './types.js';

type Ok = (value: unknown, name: string, detail?: unknown) => boolean;


export async function run(base: string, ok: Ok): Promise<void> {
    const client = createClient<paths, 'application/json'
                                       | 'application/problem+json'>({
        baseUrl: base,
        querySerializer: { array: { style: 'form', explode: false } },
    });


    // create

    const create: components['schemas']['customers.create'] =
        { name: 'Ada', email: 'ada@example.com' };
    const created = await client.POST('/api/customers/', { body: create });

    ok(created.response.status === 201, 'create', created.error);

    const id = created.data?.id ?? '';

    // @ts-expect-error: what is required is missing
    await client.POST('/api/customers/', { body: { email: 'a' } });

    // @ts-expect-error: of another type
    await client.POST('/api/customers/', { body: { name: 5 } });


    // get, and its problem

    const params = { path: { id } };
    const got = await client.GET('/api/customers/{id}', { params });
    const name: string | undefined = got.data?.name;

    ok(name === 'Ada', 'get', got.error);

    const absent = await client.GET('/api/customers/{id}', {
        params: { path: { id: '0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f' } },
    });

    ok(absent.error?.code === 'not_found' && absent.response.status === 404,
       'a problem', absent);


    // list: filters, arrays, sort, pages

    for (const total of ['10.50', 20, 30]) {
        const order = await client.POST('/api/the%20%7Borders%7D', {
            body: { customer_id: id, total },
        });

        ok(order.response.status === 201, 'create, a number or its digits',
           order.error);
    }

    const list = await client.GET('/api/the%20%7Borders%7D', {
        params: { query: { customer_id: id, total__gte: 20,
                           total__in: [20, 30, 40], sort: ['-total', 'id'],
                           fields: ['id', 'total'], limit: 1,
                           count: 'exact' } },
    });

    ok(list.data?.count === 2 && list.data.data[0].total === 30
       && list.data.data.length === 1, 'list', list);

    const next = await client.GET('/api/the%20%7Borders%7D', {
        params: { query: { customer_id: id, total__gte: 20,
                           total__in: [20, 30, 40], sort: ['-total', 'id'],
                           cursor: list.data?.next ?? '' } },
    });

    ok(next.data?.data[0].total === 20 && next.data.next === null,
       'the next page', next);

    const filter: components['schemas']['orders.filter'] =
        { customer_id: id, $or: [{ total: { $lt: 15 } }, { total: 20 }] };
    const filtered = await client.GET('/api/the%20%7Borders%7D', {
        params: { query: { filter: JSON.stringify(filter) } },
    });

    ok(filtered.data?.data.length === 2, 'filter', filtered);

    const path = await client.GET('/api/the%20%7Borders%7D', {
        params: { query: { 'field.path': {} , total__isnull: false } },
    });

    ok(path.response.status === 200, 'isnull', path);

    await client.GET('/api/the%20%7Borders%7D', {
        // @ts-expect-error: no value of this type
        params: { query: { total__between: 'a' } },
    });

    const wrong = await client.GET('/api/the%20%7Borders%7D', {
        // @ts-expect-error: no such condition
        params: { query: { total__contains: 'a' } },
    });

    ok(wrong.error !== undefined, 'what does not compile is refused',
       wrong);


    // a list as a body

    const query = await client.POST('/api/the%20%7Borders%7D/query', {
        body: { filter, sort: ['total'], limit: 1 },
    });

    ok(query.data?.data[0].total === 10.5, 'query', query);


    // aggregates, and records within records

    const sums = await client.GET('/api/the%20%7Borders%7D/aggregate', {
        params: { query: { customer_id: id, group_by: 'customer_id',
                           sum: ['total'], count: ['*'] } },
    });
    const group = sums.data?.data[0] as Record<string, unknown> | undefined;

    ok(group?.sum_total === 60.5 && group.count === 3, 'aggregate', sums);

    const several = await client.POST('/api/the%20%7Borders%7D/aggregate', {
        body: { aggregates: {
            all: { aggregate: { n: { $count: '*' } }, filter },
            most: { aggregate: 'max(total) as most', filter },
        } },
    });

    ok(JSON.stringify(several.data)
       === '{"all":{"data":[{"n":2}]},"most":{"data":[{"most":20}]}}',
       'aggregates', several);

    const within = await client.GET('/api/the%20%7Borders%7D', {
        params: { query: { customer_id: id, include: ['customer'],
                           sort: ['-customer.name', 'id'] } },
    });

    ok(within.data?.data[0].customer?.name === 'Ada', 'include', within);


    // update, with operators and with a version

    const order = list.data?.data[0].id ?? 0;
    const stored = await client.GET('/api/the%20%7Borders%7D/{id}',
                                    { params: { path: { id: order } } });
    const changed = await client.PATCH('/api/the%20%7Borders%7D/{id}', {
        params: { path: { id: order }, query: { fields: ['total'] },
                  header: { 'If-Match':
                            stored.response.headers.get('ETag') ?? '' } },
        body: { total: { $inc: 2 } },
    });

    ok(changed.data?.total === 32, 'update', changed);

    const stale = await client.PATCH('/api/the%20%7Borders%7D/{id}', {
        params: { path: { id: order },
                  header: { 'If-Match':
                            stored.response.headers.get('ETag') ?? '' } },
        body: { total: 1 },
    });

    ok(stale.error?.code === 'precondition_failed', 'a stale version', stale);


    // replace, delete

    const replaced = await client.PUT('/api/customers/{id}', {
        params, body: { name: 'Grace' },
    });

    ok(replaced.data?.name === 'Grace' && replaced.data.email === null,
       'replace', replaced);

    const used = await client.DELETE('/api/customers/{id}', { params });

    ok(used.error?.code === 'foreign_key_violation', 'a conflict', used);

    const deleted = await client.DELETE('/api/the%20%7Borders%7D/{id}',
                                        { params: { path: { id: order } } });

    ok(deleted.response.status === 204, 'delete', deleted);
}
