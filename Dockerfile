# Two stages: the first compiles, the second holds nothing but Node, the compiled service and its production dependencies.
# The major version of Node is the one that package.json pins for Linux.
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# The optional dependencies are the pinned Node binaries of package.json; an image has a Node already.
RUN npm ci --ignore-scripts --omit=optional
COPY tsconfig.json tsconfig.build.json ./
COPY openapi/ openapi/
COPY src/ src/
RUN npm run build \
 && npm prune --ignore-scripts --omit=dev --omit=optional

FROM node:24-slim
LABEL org.opencontainers.image.title="polyaxon-outputs" \
      org.opencontainers.image.description="Serves the outputs of Polyaxon jobs and experiments over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is installed at run time, so the package managers would only be something to attack and to scan. The folder belongs to the user
# of the service, so that a new named volume does too.
RUN rm -rf /usr/local/lib/node_modules /usr/local/bin/npm /usr/local/bin/npx /usr/local/bin/corepack \
      /usr/local/bin/yarn /usr/local/bin/yarnpkg /opt/yarn-* \
 && install -d -o 1000 -g 1000 /outputs
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules/ node_modules/
COPY --from=build /app/openapi/ openapi/
COPY --from=build /app/dist/ dist/
# HOST leaves loopback, which the service refuses until authentication is configured or ALLOW_UNAUTHENTICATED=true says that none is
# wanted. That is the decision of whoever runs the image, so it is not made here.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    PORT=8000 \
    OUTPUTS_PATH=/outputs
# A number, because Kubernetes cannot tell whether a name is root (runAsNonRoot).
USER 1000
VOLUME /outputs
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}${(process.env.BASE_PATH ?? '').replace(/\\/$/, '')}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
# As `npm start` does it: V8's young generation would grow to 48 MiB, of which short-lived objects of downloads need a fraction.
ENTRYPOINT ["node", "--max-semi-space-size=8", "dist/main.js"]
