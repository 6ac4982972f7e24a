// What the scripts beside this file share: results as TAP, the document, its
// schemas as validators, and requests whose answers are held against it.

import Ajv2020 from 'ajv/dist/2020.js';
import formats from 'ajv-formats';

export const base = process.argv[2];

let count = 0;
let failed = 0;


export function ok(value, name, detail) {
    count++;
    console.log(`${value ? 'ok' : 'not ok'} ${count} - ${name}`);

    if (!value) {
        failed++;
        const text = typeof detail === 'string' ? detail
                                                : JSON.stringify(detail);
        for (const line of (text ?? '').slice(0, 4000).split('\n')) {
            console.log(`# ${line}`);
        }
    }

    return Boolean(value);
}


// one result for many things: what went wrong, if anything

export function none(wrong, name) {
    return ok(wrong.length === 0, name,
              wrong.slice(0, 10).map((w) => typeof w === 'string' ? w
                                            : JSON.stringify(w)).join('\n')
              + (wrong.length > 10 ? `\nand ${wrong.length - 10} more` : ''));
}


export function done() {
    console.log(`1..${count}`);
    process.exitCode = failed ? 1 : 0;
}


process.on('uncaughtException', (error) => {
    ok(false, 'no exception', error.stack);
    done();
    process.exit(1);
});


// several at a time

export async function each(list, work) {
    const rest = [...list];

    await Promise.all(Array.from({ length: 16 }, async () => {
        while (rest.length) {
            await work(rest.shift());
        }
    }));
}


// a sequence that is the same for the same seed

export function random(seed) {
    let state = seed >>> 0;

    return (n) => {
        state = (state + 0x6d2b79f5) >>> 0;
        let t = state;
        t = Math.imul(t ^ (t >>> 15), t | 1);
        t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
        return ((t ^ (t >>> 14)) >>> 0) % n;
    };
}


// the document

export async function document(path = process.argv[3] ?? '/openapi.json') {
    return JSON.parse(await (await fetch(base + path)).text());
}


export function resolve(doc, node) {
    while (node && node.$ref) {
        node = node.$ref.slice(2).split('/')
            .reduce((n, step) => n[step.replaceAll('~1', '/')
                                        .replaceAll('~0', '~')], doc);
    }

    return node;
}


export function* operations(doc) {
    for (const [path, item] of Object.entries(doc.paths)) {
        for (const [method, op] of Object.entries(item)) {
            if (method !== 'parameters') {
                yield { path, method, op, item };
            }
        }
    }
}


export function parametersOf(doc, { op, item }) {
    return [...(item.parameters ?? []), ...(op.parameters ?? [])]
        .map((p) => resolve(doc, p));
}


// schemas; closed: answered records have no members but those documented

export function validators(doc, { closed = false } = {}) {
    const ajv = new Ajv2020({ strict: true, allowUnionTypes: true,
                              strictTypes: false, strictRequired: false,
                              allErrors: true });

    formats.default ? formats.default(ajv) : formats(ajv);

    ajv.addFormat('time-local', /^([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?$/);
    ajv.addFormat('date-time-local',
                  /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?$/);
    ajv.addVocabulary(['components', 'x-dataflow', 'x-dataflow-type', 'x-dataflow-minimum',
                       'x-dataflow-maximum', 'x-dataflow-default',
                       'x-dataflow-pattern']);

    const schemas = structuredClone(doc.components.schemas);

    for (const schema of Object.values(schemas)) {
        if (closed && schema['x-dataflow']?.model) {
            schema.additionalProperties = false;
        }
    }

    ajv.addSchema({ $id: 'doc', components: { schemas } });

    const cache = new Map();

    return (schema) => {
        const key = JSON.stringify(schema);

        if (!cache.has(key)) {
            cache.set(key, ajv.compile(JSON.parse(
                key.replaceAll('"$ref":"#/', '"$ref":"doc#/'))));
        }

        return cache.get(key);
    };
}


// requests: whatever the answer is, the document must know of it

export class Client {
    constructor(doc) {
        this.doc = doc;
        this.validator = validators(doc, { closed: true });
        this.wrong = [];
        this.answers = 0;
        this.seen = new Set();
        this.routes = [...operations(doc)].map((o) => ({
            ...o,
            regex: new RegExp('^' + o.path.replace(/[.*+?^$()|[\]\\]/g, '\\$&')
                                          .replace(/\{[^}]+\}/g, '[^/]+')
                              + '$'),
            templates: (o.path.match(/\{/g) ?? []).length,
        })).sort((a, b) => a.templates - b.templates);
    }

    operation(method, path) {
        return this.routes.find((o) => o.method === method.toLowerCase()
                                       && o.regex.test(path));
    }

    async call(method, path, { query, headers = {}, body, type } = {}) {
        const search = query === undefined ? ''
            : '?' + (typeof query === 'string' ? query
                                               : new URLSearchParams(query));
        const init = { method, headers: { ...headers } };

        if (body !== undefined) {
            init.headers['Content-Type'] ??= type ?? 'application/json';
            init.body = typeof body === 'string' ? body : JSON.stringify(body);
        }

        const response = await fetch(base + path + search, init);
        const text = await response.text();
        const media = (response.headers.get('Content-Type') ?? '')
            .split(';')[0];
        const json = /json$/.test(media) && media !== 'application/x-ndjson'
            ? JSON.parse(text) : undefined;
        const answer = { status: response.status, headers: response.headers,
                         text, json, media };

        this.answers++;

        for (const reason of this.check(method, path, answer)) {
            this.wrong.push(`${method} ${path}${search} `
                            + `${init.body ?? ''}: ${response.status} `
                            + `${text.slice(0, 300)}: ${reason}`);
        }

        return answer;
    }

    *check(method, path, answer) {
        const found = this.operation(method, path);

        if (!found) {
            yield 'no such operation in the document';
            return;
        }

        const { op } = found;
        let response = op.responses[answer.status];

        if (!response && answer.status >= 400) {
            response = op.responses.default;
        }

        this.seen.add(`${op.operationId} ${answer.status}`);

        if (!response || (answer.status >= 400
                          && !op.responses[answer.status]
                          && answer.status !== 405))
        {
            yield `status ${answer.status} is not documented`;
            return;
        }

        response = resolve(this.doc, response);

        for (const name of ['ETag', 'Location', 'Link', 'Retry-After',
                            'Preference-Applied', 'X-Dataflow-Dry-Run',
                            'X-Dataflow-Truncated'])
        {
            if (answer.headers.has(name) && !response.headers?.[name]) {
                yield `header ${name} is not documented`;
            }
        }

        if (answer.text === '') {
            return;
        }

        const media = response.content?.[answer.media];

        if (!media) {
            yield `type ${answer.media} is not documented`;
            return;
        }

        const valid = this.validator(media.schema);

        if (!valid(answer.json === undefined ? answer.text : answer.json)) {
            yield JSON.stringify(valid.errors);
        }

        if (answer.json?.code && answer.status >= 400
            && !response.description.includes(answer.json.code)
            && answer.json.code !== 'method_not_allowed')
        {
            yield `code ${answer.json.code} is not documented`;
        }
    }
}
