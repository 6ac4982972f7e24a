// A model of nothing but patterns: what is said to be ECMAScript's is taken by
// it, and matches what the server lets in.

import { Client, document, done, none, ok, random } from './lib.mjs';

const doc = await document();
const client = new Client(doc);
const pick = random(Number(process.argv[4] ?? 66));
const { path } = doc['x-dataflow'].models.patterns;
const { properties, examples } = doc.components.schemas['patterns.create'];
const fields = Object.keys(properties);
const common = fields.filter((f) => properties[f].pattern);
const alphabet = [...'ab01Z_- .,@/\\[](){}|^$*+?é😀\t', ''];

none(common.filter((f) => {
    try {
        return !new RegExp(properties[f].pattern, 'u');
    } catch {
        return true;
    }
}).map((f) => properties[f].pattern), 'ECMAScript reads them all');


// texts of any kind, and pieces of those that match

function text(sample) {
    const letters = sample && pick(2) ? [...sample] : [];

    for (let n = pick(4); n; n--) {
        letters.splice(pick(letters.length + 1), pick(2),
                       alphabet[pick(alphabet.length)]);
    }

    return letters.join('');
}

const differ = [];
let matched = 0;
let tried = 0;

for (let round = 0; round < 60; round++) {
    const body = Object.fromEntries(common.map((f) =>
        [f, round ? text(examples?.[0][f]) : examples?.[0][f] ?? '']));
    const answer = await client.call('POST', path, { query: 'dry_run=true',
                                                     body });
    const refused = new Set((answer.json.errors ?? [])
        .map(({ pointer }) => pointer.slice(1)));

    // no more than a hundred errors are told

    for (const f of refused.size < 100 ? common : [...refused]) {
        const valid = client.validator(properties[f])(body[f]);

        tried++;
        matched += valid;

        if (valid === refused.has(f)) {
            differ.push([properties[f].pattern, body[f], valid]);
        }
    }
}

ok(tried > 1000 && matched > tried / 20, 'many texts were tried',
   { tried, matched });
none(differ, 'and are taken as the document says');
none(client.wrong, 'each answer was as the document says');

done();
