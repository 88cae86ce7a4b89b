// The configuration of the peer: nginx as a careful operator would set it up in front of a worker, with all its files in
// one folder and no log of its own but the access log.
import { join } from 'node:path'

export type PeerPlan = {
  /** Everything that nginx writes is below it. */
  readonly dir: string
  readonly port: number
  /** Plain HTTP, answers GET /health. */
  readonly healthPort: number
  readonly workerPort: number
  /** A name in the certificate of the worker. */
  readonly workerName: string
  readonly certFile: string
  readonly keyFile: string
  readonly bundleFile: string
  /** Left out: a proxy without policy and log. */
  readonly opa?: { readonly port: number; readonly njsModule: string }
}

const SCRIPTS = import.meta.dirname
/** A connection lives as long as the bench: nginx closes one after 1,000 requests by default. */
const KEEP = 'keepalive_requests 1000000000; keepalive_timeout 1h;'
const KEPT = 64

/** The text of nginx.conf. */
export function nginxConf(plan: PeerPlan): string {
  const { dir, opa } = plan
  return `${opa === undefined ? '' : `load_module ${quoted(opa.njsModule)};`}
daemon off;
master_process off;
worker_processes 1;
pid ${quoted(join(dir, 'nginx.pid'))};
error_log stderr warn;
events { worker_connections 1024; }
http {
${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `  ${name}_temp_path ${quoted(join(dir, name))};`).join('\n')}
  tcp_nodelay on;
  ${KEEP}
  server { listen 127.0.0.1:${plan.healthPort}; access_log off; location = /health { return 200; } }
${upstream('worker', plan.workerPort)}
${opa === undefined ? '  access_log off;' : policyParts(plan.dir, opa.port)}
  server {
    listen 127.0.0.1:${plan.port} ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate ${quoted(plan.certFile)};
    ssl_certificate_key ${quoted(plan.keyFile)};
    ssl_client_certificate ${quoted(plan.bundleFile)};
    ssl_verify_client on;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_ssl_protocols TLSv1.3;
    proxy_ssl_certificate ${quoted(plan.certFile)};
    proxy_ssl_certificate_key ${quoted(plan.keyFile)};
    proxy_ssl_trusted_certificate ${quoted(plan.bundleFile)};
    proxy_ssl_verify on;
    proxy_ssl_name ${plan.workerName};
${opa === undefined ? PROXY_ONLY : WITH_POLICY}
  }
}
`
}

/** Bodies of any size pass through as they arrive, as in the raw form of the controller. */
const PROXY_ONLY = `    location / {
      client_max_body_size 0;
      proxy_buffering off;
      proxy_request_buffering off;
      proxy_pass https://worker;
    }`

/** The request's headers, traceparent among them, reach the worker; OPA gets none of them. */
const WITH_POLICY = `    location = /route {
      client_max_body_size 1m;
      client_body_buffer_size 1m;
      client_body_in_single_buffer on;
      js_content peer.route;
    }
    location = /_opa {
      internal;
      proxy_pass_request_headers off;
      proxy_set_header Content-Type application/json;
      # A header of its own in a location is in place of those of the server.
      proxy_set_header Connection "";
      proxy_pass http://opa/v1/data/crank/capability_access/decision;
    }
    location = /_worker {
      internal;
      proxy_pass https://worker/execute;
    }`

function policyParts(dir: string, opaPort: number): string {
  return `${upstream('opa', opaPort)}
  js_path ${quoted(SCRIPTS)};
  js_import peer from decide.js;
  js_var $crank_caller;
  js_var $crank_capability;
  js_var $crank_decision none;
  log_format decision escape=json '{"time":"$time_iso8601","caller":"$crank_caller","capability":"$crank_capability",'
    '"decision":"$crank_decision","decision_id":"$request_id","status":$status,"seconds":$request_time,'
    '"traceparent":"$http_traceparent"}';
  access_log ${quoted(join(dir, 'access.log'))} decision;
  subrequest_output_buffer_size 64k;`
}

function upstream(name: string, port: number): string {
  return `  upstream ${name} { server 127.0.0.1:${port}; keepalive ${KEPT}; ${KEEP} }`
}

function quoted(path: string): string {
  return `"${path.replaceAll(/["\\]/g, String.raw`\$&`)}"`
}
