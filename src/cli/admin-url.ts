// The URL of the controller's admin listener, for commands that query it.
import Type from 'typebox'

/** The schema of CRANK_ADMIN_URL. */
export function adminUrlSetting() {
  return Type.String({
    default: 'http://127.0.0.1:9001',
    pattern: '^https?://[^/]+$',
    allowed: 'an http URL without a path, such as http://127.0.0.1:9001',
  })
}
