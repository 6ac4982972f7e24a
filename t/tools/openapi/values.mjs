// Which values are taken: the document and the server must agree.  Each field
// is given each of many values, alone, in bodies that create and that update.

import { Client, document, done, each, none, ok, random } from './lib.mjs';

const doc = await document();
const client = new Client(doc);
const model = 'everything';
const { path } = doc['x-dataflow'].models[model];
const pick = random(20260131);

const base = doc.components.schemas[`${model}.create`].examples[0];
const made = await client.call('POST', path, { body: base });

ok(made.status === 201, 'the example of the document creates', made.text);

const item = `${path}/${made.json.id}`;


const values = [
    null, true, false, 0, 1, -1, 5, 10, 99, 1.5, 12.5, -0.25, 32767, 32768,
    -32769, 2147483647, 2147483648, -2147483649, 9007199254740991,
    12345678901, 9999999999.5, 1e300, 1e-300,
    '', 'a', 'A', 'abc', 'ä', 'ÄÖÜäöüß', '😀😀😀', 'one', 'two', 'three',
    'x'.repeat(5), 'x'.repeat(10), 'x'.repeat(11), 'x'.repeat(201),
    'ab-12', 'AB-1234', 'AB-12345', '1234567890123', 'a@b', '0', '1', '+5',
    '-5', '007', '1.5', '1e3', '.5', '5.', '1e', '0x10', ' 5', '5 ', 'NaN',
    'Infinity', '-Infinity', '+Infinity', 'nan', 'true', 'false', 'null',
    '0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8f',
    '0189D9C4-5A7E-7B1E-9F4C-3D2A1B0C9E8F',
    '0189d9c4-5a7e-7b1e-9f4c-3d2a1b0c9e8',
    '2026-01-31', '2026-02-29', '2024-02-29', '2026-13-01', '26-01-01',
    '2019-12-31', '2020-01-01', '13:30:00', '13:30', '25:00:00',
    '13:30:00.123456', '2026-01-31T13:30:00', '2026-01-31T13:30:00Z',
    '2026-01-31T13:30:00+01:00', '2026-01-31T25:30:00Z',
    '2026-01-31 13:30:00Z', 'P1DT12H', '1 day', 'P', '192.0.2.1', '2001:db8::1',
    '192.0.2.0/24', '256.0.0.1', 'AAEC', 'AA==', 'A', 'AA=A', '!!!!',
    [], [1, 2], ['a', 'b'], [null], ['a', null], [[1]], [true], [1.5], ['1'],
    ['x'.repeat(11)], [{}], {}, { a: 1 }, { a: { b: [1, 'c', null] } },
    { $inc: 1 }, { $inc: '1' }, { $inc: 1.5 }, { $inc: 'a' }, { $inc: null },
    { $dec: 1 }, { $mul: 2 }, { $min: 1 }, { $max: 1 }, { $min: 'a' },
    { $min: null }, { $now: true }, { $now: false }, { $append: 'a' },
    { $append: 1 }, { $append: null }, { $remove: 'a' }, { $remove: 1 },
    { $merge: { a: 1 } }, { $merge: 1 }, { $merge: [] }, { $set: 1 },
    { $inc: 1, $dec: 1 }, { $inc: 1, a: 1 }, { inc: 1 },
];

// forms that are taken besides those of the document

const day = ['2026-01-31', '2024-02-29', '2019-12-31', '2020-01-01'];
const besides = { time: ['13:30'], timestamp: day, timestamptz: day };

function typeOf(field) {
    const schema = doc.components.schemas[model].properties[field]
        ?? doc.components.schemas[`${model}.create`].properties[field];

    return schema['x-dataflow-type'];
}


// what the server found wrong with the field, if it was the server

function refusals(answer, field) {
    return (answer.status === 422 && answer.json.errors || [])
        .filter(({ pointer }) => pointer === `/${field}`
                                 || pointer.startsWith(`/${field}/`));
}


const scalar = (type) => type.replace(/\(.*|\[\]$/g, '');
const flat = (v) => (Array.isArray(v) ? v
                     : v && typeof v === 'object' ? Object.values(v)
                                                  : [v]).flat();


// what JSON Schema has no words for

function isUnsaid(field, value, { pointer, code }) {
    const type = scalar(typeOf(field));
    const schema = doc.components.schemas[model].properties[field] ?? {};
    const texts = flat(value).some((v) => typeof v === 'string');
    const large = flat(value).some((v) => Math.abs(v) > 2 ** 53);

    switch (code) {

    case 'scale':                   // digits behind the point
        return true;

    case 'range':                   // of a number in a text; of a float
        return texts || type === 'real' || pointer.includes('/$');

    case 'pattern':                 // of PCRE; operands are of the type only
        return 'x-dataflow-pattern' in schema || pointer.includes('/$');

    case 'length':
    case 'enum':
        return pointer.includes('/$');

    case 'type':                    // texts that have no format
        return ['interval', 'inet', 'bytea'].includes(type) && texts || large;
    }

    return false;
}


const stricter = [];
const looser = [];
let taken = 0;
let checked = 0;


async function hold(kind, field, value, answer) {
    const schema = doc.components.schemas[`${model}.${kind}`];
    const valid = client.validator(schema.properties[field] ?? false);
    const documented = valid(value);
    const wrong = refusals(answer, field);
    const what = `${kind} ${field} ${typeOf(field)} ${JSON.stringify(value)}`;

    checked++;
    taken += !wrong.length;

    if (!wrong.length && !documented
        && !besides[scalar(typeOf(field))]?.includes(value))
    {
        stricter.push(`${what}: ${JSON.stringify(valid.errors)}`);
    }

    if (documented && wrong.some((w) => !isUnsaid(field, value, w))) {
        looser.push(`${what}: ${JSON.stringify(wrong)}`);
    }
}


const fields = Object.keys(
    { ...doc.components.schemas[`${model}.create`].properties,
      ...doc.components.schemas[model].properties });

for (const field of fields) {
    await each(values.map((v) => [v, pick(8)]), async ([value, n]) => {
        if (n < 4) {
            await hold('update', field, value,
                       await client.call('PATCH', item,
                                         { query: 'dry_run=true',
                                           body: { [field]: value } }));
        }

        // the same code reads both, but for operators

        if (n > 5) {
            await hold('create', field, value,
                       await client.call('POST', path,
                                         { query: 'dry_run=true',
                                           body: { ...base,
                                                   [field]: value } }));
        }
    });
}

ok(checked > 2000 && taken > checked / 10, 'many values were tried',
   { checked, taken });

none(stricter, 'what the server takes is valid by the document');
none(looser, 'what is valid by the document the server takes');


// several members at once, in any combination, and others that are none

const disagree = [];
const create = client.validator({ $ref: `#/components/schemas/${model}.create` });

for (let i = 0; i < 300; i++) {
    const body = {};

    for (const field of [...fields, 'nothing', 'Name', '']) {
        if (pick(3) === 0) {
            body[field] = base[field] ?? 'a';
        }
    }

    const answer = await client.call('POST', path, { query: 'dry_run=true',
                                                     body });
    const accepted = !['validation_failed'].includes(answer.json?.code);

    if (accepted !== create(body)) {
        disagree.push([body, answer.json, create.errors]);
    }
}

none(disagree, 'what is required and which members there are');
none(client.wrong, 'each answer was as the document says');

done();
