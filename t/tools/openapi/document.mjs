// The document by itself: a validator and a linter of others, its schemas, its
// examples and its names.

import { Validator } from '@seriousme/openapi-schema-validator';
import { createConfig, lintFromString } from '@redocly/openapi-core';

import { base, document, done, none, ok, operations, parametersOf, resolve,
         validators } from './lib.mjs';

const doc = await document();


const { valid, errors } = await new Validator().validate(
    structuredClone(doc));

ok(valid, 'valid to @seriousme/openapi-schema-validator', errors);

// who may read, under which license, what a model is, and whether a location
// has a slash at its end are not the module's to say

const config = await createConfig({
    extends: ['recommended-strict'],
    rules: { 'info-license': 'off', 'security-defined': 'off',
             'tag-description': 'off', 'no-path-trailing-slash': 'off' },
});
const found = await lintFromString({
    source: JSON.stringify(doc), absoluteRef: 'openapi.json', config,
});

none(found.map((p) => `${p.ruleId}: ${p.message} `
                      + `${p.location?.[0]?.pointer}`),
     'nothing is found by @redocly/openapi-core');


// schemas

const validator = validators(doc, { closed: true });
const wrong = [];
let examples = 0;

for (const [name, schema] of Object.entries(doc.components.schemas)) {
    try {
        const validate = validator({ $ref: `#/components/schemas/${name}` });

        for (const example of schema.examples ?? []) {
            examples++;
            if (!validate(example)) {
                wrong.push([name, example, validate.errors]);
            }
        }
    } catch (error) {
        wrong.push(`${name}: ${error.message}`);
    }
}

for (const [name, p] of Object.entries(doc.components.parameters)) {
    try {
        validator(p.schema);
    } catch (error) {
        wrong.push(`${name}: ${error.message}`);
    }
}

none(wrong, 'every schema is one, its examples are valid by it');

const models = Object.keys(doc['x-dataflow'].models);

none(models.filter((m) => !doc.components.schemas[m].examples),
     'every record has an example');
none(models.filter((m) => doc.components.schemas[`${m}.create`]
                          && !doc.components.schemas[`${m}.create`].examples),
     'and what it is created with');


// names

const ids = [...operations(doc)].map(({ op }) => op.operationId);

ok(new Set(ids).size === ids.length, 'operationIds are unique', ids);
none(ids.filter((id) => ![...models.map((m) => `${m}_`), 'analytics.']
    .some((m) => id.startsWith(m))), 'and begin with the model');

none([...operations(doc)].filter((o) => {
    const names = parametersOf(doc, o).map((p) => `${p.in} ${p.name}`);
    return new Set(names).size !== names.length;
}).map((o) => o.op.operationId), 'no operation has a parameter twice');

none([...operations(doc)].filter((o) => {
    const names = (o.path.match(/\{[^}]+\}/g) ?? []).map((n) => n.slice(1, -1));
    const has = parametersOf(doc, o).filter((p) => p.in === 'path')
        .map((p) => p.name);
    return String(names) !== String(has);
}).map((o) => o.op.operationId), 'what a path is filled in with is there');


// methods are those that the server offers; where keys are texts, "query" is
// one of them

const differs = [];


function recordOf(path) {
    const record = Object.keys(doc.paths).find((p) =>
        p.startsWith(path.replace(/[^/]*$/, '{')) && p.endsWith('}'));

    return record && doc.paths[record].parameters[0].schema.type === 'string'
           && !doc.paths[record].parameters[0].schema.format ? [record] : [];
}


for (const path of Object.keys(doc.paths)) {
    const key = doc.paths[path].parameters?.[0];
    const url = base + path.replace(/\{[^}]+\}/,
        resolve(doc, key)?.schema.format === 'uuid'
        ? '0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f' : '1');
    const answer = await fetch(url, { method: 'OPTIONS' });
    const offered = (answer.headers.get('Allow') ?? '').toLowerCase()
        .split(', ').filter((m) => m !== 'head' && m !== 'options').sort();
    const documented = [...new Set([path, ...recordOf(path)]
        .flatMap((p) => Object.keys(doc.paths[p])))]
        .filter((m) => m !== 'parameters').sort();

    if (String(offered) !== String(documented)) {
        differs.push(`${path}: ${offered} offered, ${documented} documented`);
    }
}

// whatever else there may be below a model, where a record has other methods

const allow = async (path) => (await fetch(base + path, { method: 'OPTIONS' }))
    .headers.get('Allow');

for (const { path } of Object.values(doc['x-dataflow'].models)) {
    const list = path.replace(/\/$/, '');

    for (const name of ['query', 'aggregate', 'aggregates', 'bulk', 'import',
                        'export', 'versions', 'count'])
    {
        if (!doc.paths[`${list}/${name}`]
            && await allow(`${list}/${name}`) !== await allow(`${list}/other`))
        {
            differs.push(`${list}/${name} is not documented`);
        }
    }
}

none(differs, 'every method that OPTIONS tells is documented, and no other');


// x-dataflow

none(models.filter((m) => {
    const { path, key, operations: names } = doc['x-dataflow'].models[m];
    return !(key in doc.components.schemas[m].properties)
           || names.some((n) => !ids.includes(`${m}_${n}`))
           || !Object.keys(doc.paths).some((p) => p.startsWith(path));
}), 'x-dataflow names what there is');

none(models.flatMap((m) => Object.entries(doc.components.schemas[m].properties)
    .map(([f, p]) => p['x-dataflow-type']?.replace(/\([\d,]+\)/, ''))
    .filter((type) => type && !doc['x-dataflow'].types[type])),
     'and the operators of every type');

done();
