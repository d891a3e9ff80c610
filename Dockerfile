# One image, three programs and a command line:
#
#   docker run IMAGE operator/main.ts
#   docker run IMAGE broker/main.ts
#   docker run IMAGE token-service/main.ts
#   docker run IMAGE cli/main.ts
#
# Each takes its settings from the environment; add --help to see them. There is no build step: Node runs the
# sources, which must not lie under a node_modules.

FROM node:26-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM node:26-slim
ENV NODE_ENV=production
# What is made for one message lives for a moment: a small young generation is emptied often, stays in the processor's
# cache, and is not kept for each connection that was ever there.
ENV NODE_OPTIONS=--max-semi-space-size=8
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY package.json ./
COPY core core
COPY kubernetes kubernetes
COPY operator operator
# The operator looks there for what the installed ones must be.
COPY crds crds
COPY broker broker
COPY token-service token-service
COPY cli cli
RUN install -d -o 1000 -g 1000 .compile-cache
# "node" of the image; by number, so that Kubernetes can see that it is not root.
USER 1000:1000
# What Node makes of the sources when it loads them: with it a program starts in half the time, and without the compiler
# of TypeScript in its memory. It is kept for this user; another one, as on OpenShift, starts as without it.
ENV NODE_COMPILE_CACHE=/app/.compile-cache
RUN for program in operator broker token-service cli; do node $program/main.ts --help >/dev/null; done
EXPOSE 8080 8883 9090 18885
# For engines that know no probes. Kubernetes has those of the chart.
HEALTHCHECK --start-period=30s --interval=10s --timeout=5s CMD ["node", "-e", "require('node:http').get({ host: process.env.CLOUDSIGNAL_PROBE_HOST || '127.0.0.1', port: process.env.CLOUDSIGNAL_PROBE_PORT || 9090, path: '/healthz' }, ({ statusCode }) => process.exit(statusCode === 200 ? 0 : 1)).on('error', () => process.exit(1))"]
ENTRYPOINT ["node"]
CMD ["--version"]
