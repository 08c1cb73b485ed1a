# The gateway as an image: docker build -t vorrang .
# Podman and Buildah build it too. docs/installing.md says how to run it.
FROM debian:12-slim AS build
WORKDIR /src
# The packages first: they change less often than the sources.
COPY scripts/lib.sh scripts/packages scripts/
RUN bash -ec 'source scripts/lib.sh && install_packages build package'
COPY . .
# A ccache that is mounted into the build serves who has the same language.
ENV LANG=C.UTF-8
# The date in the package; without it, that of the build.
ARG SOURCE_DATE_EPOCH
# CI=true: warnings are errors.
ARG CI
RUN ./dev package --unchecked && mv build/package/vorrang_*.deb /vorrang.deb

FROM debian:12-slim
LABEL org.opencontainers.image.title="vorrang" \
      org.opencontainers.image.description="A gateway in front of LLM APIs that decides who goes next" \
      org.opencontainers.image.licenses="Apache-2.0"
# The package brings just the shared libraries that it needs. The user has a number that manifests
# can name; the package takes it as it finds it.
RUN --mount=type=bind,from=build,source=/vorrang.deb,target=/tmp/vorrang.deb \
    adduser --quiet --system --group --uid 10001 --no-create-home --home /nonexistent vorrang \
    && apt-get update \
    && apt-get install --yes --no-install-recommends /tmp/vorrang.deb \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/apt /var/log/dpkg.log
USER 10001:10001
# The data port. The operator's (4001) stays on the container's loopback.
EXPOSE 4000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/${PORT:-4000} && printf 'GET /health/liveliness HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["/usr/bin/vorrang"]
CMD ["--config", "/etc/vorrang/config.yaml"]
