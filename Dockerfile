# inlet in a container, for arm64 and amd64: the program, its health check and the libraries that they load; no shell, no
# package manager, no root user, nothing to write (run it with a read-only root). tools/image.sh builds it with docker or
# buildah. It is built on the builder's own platform, by Debian's cross compiler for another, so no emulation is needed.
ARG BASE=docker.io/library/debian:bookworm-slim
FROM --platform=$BUILDPLATFORM ${BASE} AS build
ARG TARGETARCH
RUN apt-get update && apt-get install -y --no-install-recommends make ca-certificates
WORKDIR /src
COPY Makefile ./
COPY tools ./tools
COPY src ./src
RUN tools/cross.sh "${TARGETARCH:-$(dpkg --print-architecture)}" root /image

FROM scratch
LABEL org.opencontainers.image.title="inlet" \
      org.opencontainers.image.description="A Kinesis stream into Apache Iceberg tables, exactly once"
COPY --from=build /image/ /
USER 65532:65532
WORKDIR /tmp
ENV INLET_HTTP=127.0.0.1:8080
# It commits what is open, gives the shards back and ends.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 CMD ["/usr/local/bin/inlet-health", "127.0.0.1:8080"]
ENTRYPOINT ["/usr/local/bin/inlet"]
CMD ["run"]
