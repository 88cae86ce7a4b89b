# The image crank-controller: controller, workers and `crank cert` are one program. No secret is ever copied in: keys,
# certificates and the audit log come by volume. Works with a read-only root file system.
#
# Workers with a package.json of their own (documents, mails, images) need 470 MB more of packages than all the rest has, 110:
#
#   docker build --build-arg WORKERS=all -t crank-controller .

ARG WORKERS=light
# Where the image of Node comes from a registry of your own. It must be Node >= 24.11 on Debian.
ARG NODE_IMAGE=node:24-slim

FROM ${NODE_IMAGE} AS manifests
WORKDIR /build
COPY package.json package-lock.json ./
COPY packages/worker/package.json ./packages/worker/
COPY src/workers/document_conversion/package.json ./src/workers/document_conversion/
COPY src/workers/email_classifier/package.json ./src/workers/email_classifier/
COPY src/workers/image_classifier/package.json ./src/workers/image_classifier/

FROM manifests AS build
# The optional packages hold a Node of their own (docs/decisions/0030); the image has one.
RUN npm ci --omit=optional --workspaces=false --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
# Checks no types, so that it gets along without the packages of the workers.
RUN npm run build

FROM manifests AS packages-light
RUN npm ci --omit=dev --omit=optional --workspaces=false --ignore-scripts --no-audit --no-fund

FROM manifests AS packages-all
# The other optional packages are the binaries of sharp. What npm links to the workers' folders leads nowhere in the image.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund && rm -rf node_modules/node-linux-* node_modules/@crank

FROM packages-${WORKERS} AS packages

FROM ${NODE_IMAGE}
# State is written, certificates may be (`crank cert dev-ca`). Both belong to the user, so that a new volume there does too.
RUN install -d -o node -g node -m 0700 /var/lib/crank /pki
WORKDIR /app
COPY package.json ./
COPY bin ./bin
COPY policies ./policies
COPY --from=packages /build/node_modules ./node_modules
COPY --from=build /build/dist ./dist

ENV NODE_ENV=production \
    CRANK_HOST=0.0.0.0 \
    CRANK_STATE_DIR=/var/lib/crank
VOLUME /var/lib/crank
# The admin listener (9001) stays on loopback unless CRANK_ADMIN_HOST says otherwise.
EXPOSE 9000
# By number, so that Kubernetes can see that it is not root.
USER 1000:1000

HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9001/livez').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Becomes the node process, which is then number 1: without core dumps, which would hold keys, and without a debugger.
ENTRYPOINT ["/bin/sh", "-c", "ulimit -c 0; exec node --disable-sigusr1 bin/crank.js \"$@\"", "crank"]
CMD ["controller"]
