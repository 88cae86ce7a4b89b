// The mTLS listener's connections follow the credentials; the same keeper serves workers, so it lives in platform.
export { createConnectionKeeper, type ConnectionKeeper } from '../../platform/connection-keeper.ts'
