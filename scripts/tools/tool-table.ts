// The native tools and their differences. Each is built from its own Go module in scripts/tools/<module>.

export const TOOL_NAMES = [
  'opa',
  'regal',
  'kustomize',
  'jaeger',
  'prometheus',
  'promtool',
  'nats-server',
  'spire-server',
  'spire-agent',
] as const
export type Tool = (typeof TOOL_NAMES)[number]

export type ToolKind = {
  /** The name of the tool in messages. */
  readonly label: string
  /** The environment variable with the path of the program to use. */
  readonly variable: string
  /** Folder of its Go module. */
  readonly module: string
  /** Package path below the module that go.mod requires; empty: the module itself. */
  readonly package: string
  readonly duration: string
  readonly tags?: string
  /** `mod` builds without a tidied list of indirect modules; go.sum still verifies every byte. */
  readonly mod: 'readonly' | 'mod'
  /** Symbol for the version, below the required module or absolute; undefined: the version is in the source. */
  readonly versionSymbol?: string
  /** It contains C, so that its build needs a C compiler. */
  readonly cgo?: true
  /** Converts the module's version to the release of the tool. */
  readonly release: (moduleVersion: string) => string
  /** How to query its version; the first group of the answer is the version. */
  readonly ask: { readonly args: readonly string[]; readonly answer: RegExp }
}

const same = (version: string): string => version
const VERSION_LINE = { args: ['version'], answer: /^Version:\s*v?(\S+)/m }

const PROMETHEUS = {
  module: 'prometheus',
  duration: 'about four minutes',
  // Service discovery for a dozen clouds is most of its code; static and file targets remain.
  tags: 'remove_all_sd',
  mod: 'mod',
  versionSymbol: 'github.com/prometheus/common/version.Version',
  // The module of Prometheus 3.16.0 is v0.316.0.
  release: (version: string) =>
    version.replace(/^0\.(\d)(\d\d)\./, (_, major: string, minor: string) => `${major}.${Number(minor)}.`),
} as const

const SPIRE = {
  module: 'spire',
  duration: 'about four minutes',
  mod: 'mod',
  versionSymbol: '/pkg/common/version.gittag',
  release: same,
  ask: { args: ['--version'], answer: /^(\d\S*)/m },
} as const

export const TOOLS: Readonly<Record<Tool, ToolKind>> = {
  opa: {
    label: 'OPA',
    variable: 'OPA_BIN',
    module: 'opa',
    package: '',
    duration: 'about two minutes',
    mod: 'readonly',
    release: same,
    ask: VERSION_LINE,
  },
  regal: {
    label: 'Regal',
    variable: 'REGAL_BIN',
    module: 'regal',
    package: '',
    duration: 'about a minute',
    mod: 'readonly',
    versionSymbol: '/pkg/version.Version',
    release: same,
    ask: VERSION_LINE,
  },
  kustomize: {
    label: 'kustomize',
    variable: 'KUSTOMIZE_BIN',
    module: 'kustomize',
    package: '',
    duration: 'about half a minute',
    mod: 'readonly',
    release: same,
    ask: { args: ['version'], answer: /^v?(\d\S*)/m },
  },
  jaeger: {
    label: 'Jaeger',
    variable: 'JAEGER_BIN',
    module: 'jaeger',
    package: '/cmd/jaeger',
    duration: 'about five minutes',
    mod: 'mod',
    versionSymbol: '/internal/version.latestVersion',
    // v1.76.0 is the tag of Jaeger 2.13.0: both lines were released together, 63 minor versions apart.
    release: (version) => version.replace(/^1\.(\d+)\./, (_, minor: string) => `2.${Number(minor) - 63}.`),
    ask: { args: ['version'], answer: /"gitVersion":"v?([^"]+)"/ },
  },
  prometheus: {
    ...PROMETHEUS,
    label: 'Prometheus',
    variable: 'PROMETHEUS_BIN',
    package: '/cmd/prometheus',
    ask: { args: ['--version'], answer: /^prometheus, version (\S+)/m },
  },
  promtool: {
    ...PROMETHEUS,
    label: 'promtool',
    variable: 'PROMTOOL_BIN',
    package: '/cmd/promtool',
    ask: { args: ['--version'], answer: /^promtool, version (\S+)/m },
  },
  'nats-server': {
    label: 'NATS',
    variable: 'NATS_SERVER_BIN',
    module: 'nats-server',
    package: '',
    duration: 'about a minute',
    mod: 'mod',
    release: same,
    ask: { args: ['--version'], answer: /^nats-server: v(\S+)/m },
  },
  'spire-server': {
    ...SPIRE,
    label: 'SPIRE server',
    variable: 'SPIRE_SERVER_BIN',
    package: '/cmd/spire-server',
    // Its SQLite.
    cgo: true,
  },
  'spire-agent': { ...SPIRE, label: 'SPIRE agent', variable: 'SPIRE_AGENT_BIN', package: '/cmd/spire-agent' },
}

export function isTool(name: string | undefined): name is Tool {
  return TOOL_NAMES.some((tool) => tool === name)
}
