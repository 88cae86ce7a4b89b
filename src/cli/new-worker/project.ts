// What `crank worker new` writes outside of a checkout: a project that depends only on the package @crank/worker.
import { VERSION } from '../../platform/version.ts'
import { capabilitySource, SCHEMAS, workerId, type NewWorker } from './templates.ts'

const PACKAGE = '@crank/worker'
const DOCS = 'docs/worker-typescript.md'

/** The folder of the project, such as `greeting-cards`. */
export function projectFolder({ name }: Pick<NewWorker, 'name'>): string {
  return name.replaceAll('_', '-')
}

/** Its files by path relative to the folder. */
export function projectFiles(worker: NewWorker): Readonly<Record<string, string>> {
  return {
    'package.json': packageJson(worker),
    'tsconfig.json': TSCONFIG,
    '.gitignore': 'node_modules/\n.env\n.crank/\n',
    'src/worker.ts': workerSource(worker),
    'src/main.ts': MAIN,
    'test/worker.test.ts': testSource(worker),
    'README.md': readme(worker),
  }
}

/** The next steps, as lines. */
export function nextInProject(worker: NewWorker): string[] {
  return [
    '',
    `Next (${DOCS} in the repository of Crank has every step):`,
    `  cd ${projectFolder(worker)}`,
    `  npm install <${PACKAGE}: the file that "npm pack -w packages/worker" writes in a checkout>`,
    '  npm test',
  ]
}

function packageJson(worker: NewWorker): string {
  const manifest = {
    name: projectFolder(worker),
    version: '0.1.0',
    private: true,
    type: 'module',
    engines: { node: '>=24' },
    scripts: { start: 'node --env-file-if-exists=.env src/main.ts', test: 'tsc && node --test' },
    dependencies: { [PACKAGE]: `^${VERSION}` },
    devDependencies: { '@types/node': '^24', typescript: '~6.0.3' },
  }
  return `${JSON.stringify(manifest, null, 2)}\n`
}

const TSCONFIG = `{
  "compilerOptions": {
    "target": "es2024",
    "lib": ["esnext"],
    "module": "nodenext",
    "types": ["node"],
    "strict": true,
    "noEmit": true,
    "allowImportingTsExtensions": true,
    "erasableSyntaxOnly": true,
    "verbatimModuleSyntax": true,
    "skipLibCheck": true
  },
  "include": ["src", "test"]
}
`

function workerSource(worker: NewWorker): string {
  return `// ${worker.capability} answers with the text that it is given: put here what it really does.
import { defineCapability, defineWorker, Type } from '${PACKAGE}'

${SCHEMAS}
${capabilitySource(worker)}
export const worker = defineWorker({ id: '${workerId(worker.name)}', capabilities: [capability] })
`
}

const MAIN = `// The process of the worker: it registers, and runs until SIGTERM. Its settings are variables, such as CONTROLLER_URL.
import { runWorkerProcess } from '${PACKAGE}'
import { worker } from './worker.ts'

await runWorkerProcess(worker, process.env)
`

function testSource({ capability }: NewWorker): string {
  return `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestController } from '${PACKAGE}/testing'
import { worker } from '../src/worker.ts'

test('answers with the text that it is given', async () => {
  await using controller = await startTestController()
  const tested = await controller.run(worker)
  const { status, body } = await tested.call('${capability}', { text: 'hello' })
  assert.deepEqual({ status, body }, { status: 200, body: { text: 'hello' } })
})

test('refuses an empty text', async () => {
  await using controller = await startTestController()
  const tested = await controller.run(worker)
  const { status, body } = await tested.call('${capability}', { text: '' })
  assert.equal(status, 400)
  assert.equal((body as { error: string }).error, 'INVALID_INPUT')
})
`
}

function readme({ name, capability }: NewWorker): string {
  return `# ${projectFolder({ name })}

A worker of Crank that offers \`${capability}\`.

- \`npm test\` checks the types and runs the tests, against a controller that \`${PACKAGE}/testing\` starts.
- \`npm start\` runs the worker. It reads its settings from the environment, and from the file \`.env\` if there is one:

  \`\`\`sh
  CONTROLLER_URL=https://127.0.0.1:9000
  CRANK_TLS_CERT=/path/to/${workerId(name)}.crt
  CRANK_TLS_KEY=/path/to/${workerId(name)}.key
  CRANK_TLS_BUNDLE=/path/to/crank.local.pem
  \`\`\`

The certificate must carry \`spiffe://<trust domain>/worker/${projectFolder({ name })}\`.
The policy of the controller must have a manifest that lets this identity offer \`${capability}\`:

\`\`\`sh
crank manifest add ${projectFolder({ name })} --provides ${capability}
\`\`\`

\`${DOCS}\` in the repository of Crank shows both, step by step.
`
}
