// Answers of every kind, each of which must be as the document says: status,
// headers, type, members.

import { Client, document, done, none, random } from './lib.mjs';

const doc = await document();
const client = new Client(doc);
const pick = random(20260202);
const { path } = doc['x-dataflow'].models.everything;
const create = doc.components.schemas['everything.create'];
const example = create.examples[0];


// records whose values are likely to be seen differently

const odd = {
    small: [-32768, '32767', null],
    whole: [0, 100, '7'],
    big: ['-9223372036854775808', 9007199254740991, null],
    price: ['9999999999.99', -5.5, 0],
    ratio: ['NaN', '123456789012345678901234567890.123456789', -1000],
    digits: [-99999, '0', null],
    single: ['NaN', 'Infinity', '-Infinity', 1e-30, '3.4028235e38'],
    wide: ['-Infinity', 1e300, 5e-324, 0.1],
    flag: [true, false, null],
    name: ['', 'x'.repeat(200), 'ä"\\\n\u2028😀', '\u0001'],
    code: ['AB-12345', null],
    lookup: ['banana', null],
    word: ['ab', '0123456789', null],
    kind: ['one', 'two', 'three', null],
    uid: ['0189D9C4-5A7E-7B1E-9F4C-3D2A1B0C9E8F', null],
    day: ['2020-01-01', '9999-12-31', null],
    clock: ['00:00:00', '23:59:59.999999', null],
    local: ['2026-01-31T13:30:00.123456', '0001-01-01T00:00:00', null],
    moment: ['2026-01-31T13:30:00-09:30', '1900-02-28T23:59:59.5Z', null],
    span: ['P-1Y-2M3DT4H-5M6.5S', '1 day 02:00:00', 'PT0S', null],
    data: [[], {}, 0, '', 'null', [null, { a: 1e2 }], true, null],
    config: [{ $ref: 1 }, 1.50, 'text'],
    bytes: ['', '/+8=', null],
    address: ['2001:db8::/32', '10.0.0.0/8', null],
    texts: [[], [null], ['', 'a"b', '{},'], null],
    words: [['x'], null],
    numbers: [[], [1, null, '-5']],
    amounts: [['1.50', -999.99, null], null],
    moments: [['2026-01-31T13:30:00+14:00', null], null],
    objects: [[{ a: [1] }, null, 'text'], null],
    secret: ['s', null],
};

const keys = [];
const refused = [];

for (let i = 0; i < 120; i++) {
    const body = { ...example };

    for (const [field, values] of Object.entries(odd)) {
        if (pick(2)) {
            body[field] = values[pick(values.length)];
        }
    }

    const answer = await client.call('POST', path, { body });

    if (answer.status === 201
        && answer.headers.get('Location') === `${path}/${answer.json.id}`
        && answer.headers.has('ETag'))
    {
        keys.push(answer.json.id);

    } else {
        refused.push(answer.text);
    }
}

none(refused, 'all of them were created, with Location and ETag');


// reading

const name = Object.keys(doc.components.schemas.everything.properties);

for (const key of keys) {
    const got = await client.call('GET', `${path}/${key}`);
    const etag = got.headers.get('ETag');

    await client.call('GET', `${path}/${key}`,
                      { headers: { 'If-None-Match': etag } });
    await client.call('GET', `${path}/${key}`,
                      { query: { fields: name[pick(name.length)] } });
}

for (const query of ['', 'limit=1', 'limit=0', 'count=exact',
                     'count=estimated&limit=3', 'fields=id', 'sort=-price',
                     'sort=data', 'nothing=1', 'limit=100000', 'limit=x',
                     'offset=100000', 'cursor=abc', 'filter={', 'filter=[]',
                     'filter={"price":{"$gt":1}}', 'filter={"$nor":[]}',
                     'name__regex=(', 'price__gte=a', 'a%00=1', 'limit=all',
                     'fields=id,id', 'price__gt=1&price__gt=2',
                     'data.a=1', 'texts__has=a', 'whole__in=1,2,3'])
{
    for (const accept of ['application/json', 'text/csv',
                          'application/x-ndjson', 'image/png'])
    {
        await client.call('GET', path, { query, headers: { Accept: accept } });
    }
}

for (const body of [{}, { filter: { price: { $gt: 1 } }, limit: 2,
                          sort: ['-price', 'id'], fields: 'id,price',
                          count: 'exact' },
                    { nothing: 1 }, [], { filter: [] }, 'no JSON', '',
                    { limit: 'all' }, { filter: { data: { a: 1 } } },
                    { filter: { $or: [{ $not: { id: null } }] } }])
{
    for (const type of ['application/json', 'text/plain']) {
        await client.call('POST', `${path}/query`, { body, type });
    }
}


for (const query of ['', 'count=*', 'group_by=kind', 'aggregate=count(*) as n',
                     'group_by=kind&sum=price&avg=whole&min=day&max=moment'
                     + '&count=*,flag&count_distinct=name&sort=-count',
                     'group_by=kind&count=*&limit=1', 'count=*&limit=0',
                     'sum=name', 'nothing=1',
                     'group_by=kind&count=*&having=count > 5&whole__gte=1',
                     'aggregate=sum(price) / 0', 'where=whole > 5&count=*',
                     'group_by=date_trunc(\'day\', moment)&timezone=x'])
{
    for (const accept of ['application/json', 'text/csv',
                          'application/x-ndjson', 'image/png'])
    {
        await client.call('GET', `${path}/aggregate`,
                          { query, headers: { Accept: accept } });
    }
}

for (const body of [{ group_by: ['kind'], aggregate: { n: { $count: '*' } } },
                    { group_by: { k: 'kind' }, aggregate: 'sum(price) as s',
                      filter: { whole: { $gt: 1 } }, having: { s: { $gt: 1 } },
                      sort: ['-s'], limit: 2 },
                    { aggregates: { a: { count: '*' },
                                    b: { group_by: 'kind', max: 'price' } } },
                    { aggregates: { a: { sum: 'nothing' } } },
                    { aggregates: {} }, {}, [], { nothing: 1 },
                    { aggregate: { n: { $nothing: 1 } } }])
{
    await client.call('POST', `${path}/aggregate`, { body });
    await client.call('POST', `${path}/aggregate`, { body, type: 'a/b' });
}


// writing

const item = () => `${path}/${keys[pick(keys.length)]}`;

for (let i = 0; i < 3; i++) {
    for (const query of ['', 'dry_run=true', 'fields=id,name', 'dry_run=x',
                         'limit=1'])
    {
        for (const headers of [{}, { Prefer: 'return=minimal' },
                               { 'If-Match': '"1-00000000"' },
                               { 'If-Match': '*' }, { 'If-Match': 'x' },
                               { Accept: 'text/csv' }])
        {
            await client.call('PATCH', item(), { query, headers,
                body: { whole: { $inc: 1 }, texts: { $append: 'b' },
                        data: { $merge: { a: 1 } }, clock: { $now: true } } });
            await client.call('PUT', item(), { query, headers,
                                               body: example });
            await client.call('POST', path, { query, headers, body: example });
        }
    }
}

for (const body of [{ whole: 101 }, { whole: { $inc: 100000 } },
                    { price: { $mul: '9999999999' } }, { nothing: 1 }, [],
                    { small: { $inc: 32767 } }, {}, 'x', '{"name":1',
                    { name: '\u0000' }, { id: 1 }, { state: 'x' }])
{
    await client.call('PATCH', item(), { body });
    await client.call('PUT', item(), { body });
    await client.call('POST', path, { body });
    await client.call('POST', path, { body, type: 'text/plain' });
}

// many at once

for (const body of [
    { operation: 'create', records: [example, { name: 'a' }], return: true },
    { operation: 'create', records: [{ name: 1 }, {}, example, 5] },
    { operation: 'create', records: [example, { name: 1 }, { name: 'b' }],
      atomic: false },
    { operation: 'update', records: [{ id: keys[9], whole: 3 },
                                     { id: keys[8], whole: { $inc: 1 } }],
      return: true },
    { operation: 'update', records: [{ id: 0, whole: 3 }] },
    { operation: 'update', records: [{ id: 0, whole: 3 },
                                     { id: keys[9], whole: 4 }],
      atomic: false },
    { operation: 'update', filter: { whole: { $lt: 3 } }, set: { big: 1 },
      max_affected: 1 },
    { operation: 'update', where: 'whole < 3', set: { big: { $inc: 1 } },
      return: true },
    { operation: 'update', set: { big: 1 } },
    { operation: 'upsert', records: [{ ...example, id: 1 }] },
    { operation: 'delete', ids: [0, keys[0]] },
    { operation: 'delete', ids: [0, keys[0]], atomic: false },
    { operation: 'delete', filter: { name: 'b' }, dry_run: true },
    { operation: 'destroy' }, {}, [],
])
{
    await client.call('POST', `${path}/bulk`, { body });
    await client.call('POST', `${path}/bulk`,
                      { query: 'fields=id', body,
                        headers: { Accept: 'text/csv' } });
}

await client.call('POST', '/api/customers/bulk', { body: {
    operation: 'upsert', on: ['email'], update: ['name'], return: true,
    records: [{ name: 'x', email: 'x@y' }, { name: 'y', email: 'y@y' }] } });

for (const [type, body] of [
    ['application/x-ndjson', '{"name":"a"}\n{"name":"b"}\n'],
    ['application/x-ndjson', '{"name":1}\n{"nme":"b"}\n'],
    ['application/x-ndjson', '{"name"'],
    ['text/csv', 'name,whole\r\na,1\r\nb,x\r\n'],
    ['text/csv', 'name,whole\r\na,1\r\nb,2\r\n'], ['text/csv', ''],
])
{
    for (const query of ['', 'dry_run=true', 'keep=generated', 'keep=x']) {
        await client.call('POST', `${path}/bulk`, { query, type, body });
    }
}

for (const query of ['on=email', 'on=email&update=name', 'on=name', 'on=x']) {
    await client.call('POST', '/api/customers/bulk', {
        query, type: 'text/csv',
        body: 'name,email\r\nz,x@y\r\nw,w@w\r\n' });
}

const stored = (await client.call('GET', `${path}/${keys[0]}`)).json;

await client.call('PUT', `${path}/${keys[0]}`, { body: stored });
await client.call('PUT', `${path}/${keys[0]}`,
                  { body: { ...stored, created_at: '2020-01-01T00:00:00Z' } });

for (const key of [...keys.slice(0, 5), 'x', '0', '99999999999999999999']) {
    for (const [query, headers] of [['dry_run=true', {}],
                                    ['', { 'If-Match': '"1-00000000"' }],
                                    ['', {}], ['', {}], ['fields=id', {}]])
    {
        await client.call('DELETE', `${path}/${key}`, { query, headers });
    }

    await client.call('GET', `${path}/${key}`);
    await client.call('PATCH', `${path}/${key}`, { body: { name: 'a' } });
    await client.call('PUT', `${path}/${key}`, { body: example });
}


// references, and values that only one may have

const customer = await client.call('POST', '/api/customers/',
    { body: { name: 'a', email: 'unique@example.com' } });

await client.call('POST', '/api/customers/',
                  { body: { name: 'b', email: 'unique@example.com' } });
await client.call('POST', '/api/customers/',
                  { body: { name: 'b', country: 'XX' } });

const orders = '/api/the%20%7Borders%7D';

await client.call('POST', orders, { body: { customer_id: customer.json.id,
                                            total: '1.50' } });
await client.call('POST', orders, { body: {
    customer_id: '0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f', total: 1 } });
await client.call('GET', orders, { query: 'customer.name=a&sort=-customer.name' });
await client.call('GET', orders, { query: 'customer.nothing=a' });
await client.call('DELETE', `/api/customers/${customer.json.id}`);

for (const include of ['customer', 'customer.from', 'customer.orders', 'other',
                       'customer.from.customers'])
{
    await client.call('GET', orders, { query: { include } });
    await client.call('GET', `${orders}/1`, { query: { include } });
    await client.call('POST', `${orders}/query`, { body: { include } });
}

for (const fields of ['id,customer', 'customer.name', 'customer.orders.id']) {
    await client.call('GET', orders, { query: { fields } });
}

await client.call('GET', '/api/customers/', { query: 'include=orders,from' });
await client.call('GET', '/api/customers/', { query: 'limit=1' });
await client.call('POST', '/api/customers/query', { body: { limit: 1 } });

// reports

const reports = '/api/analytics';
const of = `customer=${customer.json.id}`;

for (const [name, queries] of Object.entries({
    '': ['', 'a=1'],
    '/sums/by-kind': ['', 'since=2000-01-01T00:00:00Z', 'kinds=one,two',
                      'least=1&limit=1', 'limit=0', 'limit=6', 'least=-1',
                      'since=x', 'nothing=1'],
    '/orders/of': [of, '', 'customer=x'],
    '/all': [of, `${of}&least=1`, ''],
})) {
    for (const query of queries) {
        for (const Accept of ['application/json', 'text/csv',
                              'application/x-ndjson', 'image/png'])
        {
            await client.call('GET', reports + name,
                              { query, headers: { Accept } });
        }
    }
}

none(client.wrong, 'each answer was as the document says');

const expected = {
    everything_list: [200, 400, 406],
    everything_query: [200, 400, 415],
    everything_aggregate: [200, 400, 406],
    everything_aggregates: [200, 400, 415],
    everything_bulk: [200, 400, 404, 422],
    everything_create: [200, 201, 204, 400, 406, 415, 422],
    everything_get: [200, 304, 404],
    everything_update: [200, 204, 400, 404, 406, 412, 422],
    everything_replace: [200, 204, 400, 404, 406, 412, 422],
    everything_delete: [204, 400, 404, 412],
    'analytics.sums.by-kind': [200, 400, 406],
    'analytics.all': [200, 400],
    customers_create: [201, 409],
    customers_delete: [409],
    orders_create: [201, 409],
};

none(Object.entries(expected).flatMap(([op, all]) => all.filter((status) =>
    !client.seen.has(`${op} ${status}`)).map((status) => `${op} ${status}`)),
     'there were answers of each kind');

done();
