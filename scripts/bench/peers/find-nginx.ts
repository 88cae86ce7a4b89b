// Finds nginx ($NGINX_BIN, PATH, or where Debian has it) and its njs module. They come with the system, not with the project: without them the rows are skipped.
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { findOnPath } from '../../../src/platform/installed-tool.ts'
import { run } from '../../tools/run.ts'

export type Nginx = { readonly file: string; readonly njsModule: string }
export type NginxSearch = Nginx | { readonly unavailable: string }

const GET_IT = 'install the Debian packages nginx and libnginx-mod-http-js'
const MODULE = 'ngx_http_js_module.so'
/** Not on the PATH of an ordinary user. */
const SYSTEM_FOLDERS = ['/usr/sbin', '/usr/local/sbin']

/** nginx with njs, or the sentence that says why there is none and how to get it. */
export async function lookForNginx(env: NodeJS.ProcessEnv = process.env): Promise<NginxSearch> {
  const { NGINX_BIN: named } = env
  const file = named ?? (await findOnPath('nginx', { PATH: [env['PATH'] ?? '', ...SYSTEM_FOLDERS].join(delimiter) }))
  if (file === undefined) return { unavailable: `nginx was not found: ${GET_IT}` }
  if (!(await isAllowed(file, constants.X_OK))) {
    return { unavailable: `NGINX_BIN=${file} is not an executable file: ${GET_IT}` }
  }
  // On stderr, with the options of its build.
  const { stderr } = await run(file, ['-V'])
  const folder = /--modules-path=(\S+)/.exec(stderr)?.[1]
  const njsModule = join(folder ?? '/usr/lib/nginx/modules', MODULE)
  if (!(await isAllowed(njsModule, constants.R_OK))) return { unavailable: `${njsModule} was not found: ${GET_IT}` }
  return { file, njsModule }
}

function isAllowed(file: string, mode: number): Promise<boolean> {
  return access(file, mode).then(
    () => true,
    () => false,
  )
}
