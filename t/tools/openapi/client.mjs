// A client that is generated from the document: its types, with which client.ts
// is compiled, and its calls, which client.ts makes.

import { writeFileSync } from 'node:fs';
import openapiTS, { astToString } from 'openapi-typescript';
import ts from 'typescript';

import { base, document, done, none, ok } from './lib.mjs';

const doc = await document();

// a member that has a default may be left out

const types = await openapiTS(doc, { defaultNonNullable: false });

writeFileSync(new URL('types.d.ts', import.meta.url), astToString(types));

const file = new URL('client.ts', import.meta.url).pathname;
const program = ts.createProgram([file], {
    strict: true, noUnusedLocals: true, skipLibCheck: true, types: [],
    target: ts.ScriptTarget.ES2022, lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
});

program.emit();

none(ts.getPreEmitDiagnostics(program).map((d) => {
    const at = d.file?.getLineAndCharacterOfPosition(d.start);
    return `${d.file?.fileName}:${at?.line + 1}: `
           + ts.flattenDiagnosticMessageText(d.messageText, '\n');
}), 'calls are of the types that openapi-typescript makes');

const { run } = await import('./client.js');

await run(base, ok);

done();
