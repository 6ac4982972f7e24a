// Parameters: each one of the document is taken, with each kind of value that
// its schema has, and no other is.

import { Client, document, done, each, none, ok, operations, parametersOf, random,
         resolve } from './lib.mjs';

const doc = await document();
const client = new Client(doc);
const pick = random(20260201);
const models = doc['x-dataflow'].models;


// texts of values that a schema allows

const formats = {
    uuid: ['0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f'],
    date: ['2026-01-31', '1999-12-31'],
    'date-time': ['2026-01-31T13:30:00Z', '2026-01-31T13:30:00.5+01:00'],
    'date-time-local': ['2026-01-31T13:30:00'],
    'time-local': ['13:30:00', '00:00:00.25'],
};

// types whose texts have no format

const types = {
    interval: ['P1DT12H30M', 'PT0.5S'],
    inet: ['192.0.2.1', '2001:db8::/32'],
    bytea: ['AAEC', ''],
};


function samples(schema, type) {
    schema = resolve(doc, schema);

    if (schema.anyOf) {
        return schema.anyOf.flatMap((s) => samples(s, type));
    }

    if ('const' in schema) {
        return [String(schema.const)];
    }

    if (schema.enum) {
        return schema.enum.map(String);
    }

    if (schema.contentMediaType === 'application/json') {
        const inner = schema.contentSchema
            && resolve(doc, schema.contentSchema);

        return inner?.type === 'array'
               ? ['[]', `[${samples(inner.items, type)
                            .map((v) => type === 'json' ? v
                                        : /string/.test(inner.items.type)
                                          && !/number|integer/.test(
                                              inner.items.type)
                                        ? JSON.stringify(v) : v)}]`]
               : inner ? ['{}'] : ['{"a":[1,null]}', '1', '"a"', 'true'];
    }

    if (schema.type === 'array') {
        const items = samples(schema.items, type)
            .filter((v) => !v.includes(',') && v !== '');
        const n = schema.minItems ?? 1;

        return [...(schema.maxItems !== n && n === 1 ? [items[0]] : []),
                [items[0], items.find((v) => v !== `-${items[0]}`
                                             && v !== items[0])
                           ?? items[0]].join(',')]
            .filter((v, i, all) => !schema.items.$ref
                                   || new Set(v.split(',')).size
                                      === v.split(',').length);
    }

    switch ([schema.type].flat()[0]) {

    case 'integer':
        return [schema.minimum ?? -5, schema.maximum ?? 5].map(String);

    case 'number':
        return ['0', '-1.50', '1e3'];

    case 'boolean':
        return ['true', 'false'];

    case 'array':
        return [];

    case 'string':
        if (schema.pattern) {
            const name = schema.pattern.match(/^\^-\?\((\w+).*\):nulls/)?.[1];

            return name ? [`${name}:nullsfirst`, `-${name}:nullslast`] : [];
        }

        return formats[schema.format] ?? types[type] ?? ['a', '1'];
    }

    return ['1', '"a"'];
}


function typeOf(model, name) {
    const field = name.split('__')[0];

    return doc.components.schemas[model].properties[field]
        ?.['x-dataflow-type'].replace(/\(.*|\[\]$/g, '');
}


function reach(name, target) {
    const key = target && models[target].key;
    const value = key && samples(
        doc.components.schemas[target].properties[key])[0];

    return target ? [{ [`${name}.${key}`]: value },
                     { [`${name}.${key}__in`]: `${value},${value}` },
                     { [`${name}.${key}__isnull`]: 'false' }]
                  : [{ [`${name}.a.b`]: '1' }, { [`${name}.a__gte`]: '1' },
                     { [`${name}.a__in`]: '1,a' },
                     { [`${name}.0.a__icontains`]: 'a' }];
}


// what its schema does not tell

const special = {
    async cursor(o) {
        const page = await client.call('GET', o.path, { query: 'limit=1' });
        return [page.json.next ?? ''].filter((v) => v);
    },
    async 'field.path'(o, p) {
        const { relations } = models[o.op['x-dataflow'].model];

        return Object.keys(p.schema.patternProperties).flatMap((pattern) => {
            const names = pattern.match(/^\^\(([^)]*)\)/)[1].split('|');

            return names.flatMap(pattern.endsWith('[.]')
                ? (name) => reach(name, relations[name]?.model)
                : (name) => [{ [`${name}__isnull`]: 'false' }]);
        });
    },
    async where(o) {
        const { key } = models[o.op['x-dataflow'].model];
        return [`${key} is not null`, `not (${key} is null)`];
    },
};

// parameters of an aggregate

const groups = {
    async group_by(o) {
        const { key } = models[o.op['x-dataflow'].model];
        return [key, `${key} as other`, `${key} is null as a, ${key}`];
    },
    async aggregate() {
        return ['count(*) as n', 'count(*) + 1 as n, count(*) * 2 as m'];
    },
    async having() {
        return ['count >= 0', 'count(*) > 1 and count < 100'];
    },
    async sum(o) {
        return o.op['x-dataflow'].model === 'everything' ? ['whole,price', 'big']
                                                         : [];
    },
    async avg(o) {
        return groups.sum(o);
    },
    async min(o) {
        return groups.sum(o);
    },
    async max(o) {
        return groups.sum(o);
    },
    async count_distinct(o) {
        return [models[o.op['x-dataflow'].model].key];
    },
    async timezone() {
        return ['Europe/Berlin', 'UTC'];
    },
    async sort() {
        return ['count', '-count'];
    },
    async count(o) {
        return ['*', models[o.op['x-dataflow'].model].key];
    },
};


// parameters of an import

const unique = { countries: 'code', customers: 'email' };

const imports = {
    async on(o) {
        const name = unique[o.op['x-dataflow'].model];
        return name ? [name] : [];
    },
    async update(o) {
        const on = unique[o.op['x-dataflow'].model];
        return on ? [{ on, update: 'name' }] : [];
    },
};

const others = { aggregate: groups, bulk: imports };


function specialOf(o, name) {
    return others[o.op['x-dataflow'].operation]?.[name]
           || name !== 'count' && special[name];
}


// a record of each model, as far as its references allow

const keys = {};

for (const m of ['countries', 'customers', 'orders', 'everything', 'roots']) {
    const body = { ...doc.components.schemas[`${m}.create`].examples[0] };

    if (m === 'orders') {
        body.customer_id = keys.customers;
    }

    if (m === 'customers') {
        body.country = keys.countries;
        delete body.id;
    }

    const made = await client.call('POST', models[m].path, { body });

    ok(made.status === 201, `${m}: the example creates`, made.text);
    keys[m] = made.json?.[models[m].key];

    if (m === 'countries') {
        await client.call('POST', models[m].path,
                          { body: { ...body, code: 'ZZ' } });
    }
}


// each documented parameter

const refused = [];
let tried = 0;


async function send(o, query, media) {
    const { model } = o.op['x-dataflow'];
    const path = o.path.replace(/\{[^}]+\}/, encodeURIComponent(keys[model]))
        .replaceAll(' ', '%20');
    const schema = o.op.requestBody?.content['application/json']?.schema;
    let type;
    let body = schema && (resolve(doc, schema).examples?.[0] ?? {});

    if (body && model === 'orders') {
        body = { ...body, customer_id: keys.customers };
    }

    if (o.op['x-dataflow'].operation === 'bulk') {
        const lines = query.keep || query.on;

        body = lines ? '\n' : { operation: 'update', records: [] };
        type = lines && 'application/x-ndjson';
    }

    if (o.op['x-dataflow'].operation === 'aggregate') {
        query = { count: '*', ...query };
    }

    if (o.op.requestBody) {
        query = { dry_run: 'true', ...query };
    }

    if (o.method === 'delete') {
        query = { ...query, dry_run: 'true' };
    }

    return client.call(o.method.toUpperCase(), path,
                       { query, body, type, headers: media ? { Accept: media }
                                                           : {} });
}


const offered = [...operations(doc)].filter((o) => o.op.parameters
                                               && o.op['x-dataflow'].model);

for (const o of offered) {
    const { model } = o.op['x-dataflow'];

    await each(parametersOf(doc, o).filter((p) => p.in === 'query'),
        async (p) => {
            const chosen = specialOf(o, p.name);
            const values = chosen
                ? await chosen(o, p)
                : samples(p.schema, typeOf(model, p.name));

            if (!values.length && !chosen) {
                refused.push(`${o.op.operationId} ${p.name}: no value`);
            }

            for (const value of values) {
                const answer = await send(o, typeof value === 'object'
                                             ? value : { [p.name]: value },
                                          value === 'all' && 'text/csv');
                tried++;

                if (answer.status >= 400 && answer.status !== 409) {
                    refused.push(`${o.op.operationId} ${p.name}=`
                                 + `${JSON.stringify(value)}: ${answer.text}`);
                }
            }
        });
}

ok(tried > 500, 'many parameters were tried', tried);
none(refused, 'the server takes what is documented');


// and no other: names that some model or operation has, and some that none has

const operators = [...new Set(Object.values(doc['x-dataflow'].types)
    .flatMap((t) => t.operators)), 'eq', 'not', 'size', 'EQ', ''];
const names = [...new Set(Object.values(doc.components.parameters)
    .filter((p) => p.in === 'query' && !p.name.includes('__'))
    .map((p) => p.name)), 'secret', 'include', 'where', 'group_by', 'having',
    'aggregate', 'on', 'timezone', 'page', 'q', 'nothing', 'Name', 'name_',
    '$filter', 'filter[name]', 'name.a', 'data', 'customer', ''];
const undocumented = [];
let strangers = 0;

for (const o of offered) {
    const documented = new Set(parametersOf(doc, o).map((p) => p.name));
    const paths = parametersOf(doc, o)
        .filter((p) => p.schema.patternProperties)
        .flatMap((p) => Object.keys(p.schema.patternProperties))
        .map((p) => new RegExp(p));
    const all = names.flatMap((n) => [n, ...operators.map((x) => `${n}__${x}`)])
        .filter((n) => !documented.has(n) && !paths.some((p) => p.test(n))
                       && !(n.endsWith('__eq')
                            && documented.has(n.slice(0, -4))))
        .filter(() => pick(o.op.operationId === 'everything_list' ? 3 : 25) === 0);

    await each(all, async (name) => {
        const answer = await send(o, { [name]: '1' });
        const codes = [answer.json?.code,
                       ...(answer.json?.errors ?? []).map((e) => e.code)];

        strangers++;

        if (!codes.some((c) => /^unknown_(parameter|field|operator)$/
                               .test(c ?? '')))
        {
            undocumented.push(`${o.op.operationId} ${name}: ${answer.text}`);
        }
    });
}

ok(strangers > 500, 'many other names were tried', strangers);
none(undocumented, 'the server takes nothing else');
none(client.wrong, 'each answer was as the document says');

done();
