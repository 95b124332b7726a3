# The system to build on, whose interpreter, libraries and nft the image gets: Debian, or one made
# like it, with Python 3.11 or newer.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
# The base image decides on versions.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
        binutils ca-certificates netbase nftables python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# Where Python packages come from another index than the public one, or through a proxy that signs
# certificates, the builder passes pip's configuration as a secret, and the authorities as another
# (cert = /run/secrets/ca-certificates.crt): neither is in any layer.
# The environment gets no pip: it is what the image carries.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca-certificates.crt \
    python3 -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python3 -m venv --without-pip /opt/imds-emulator \
    && python3 -m pip --python /opt/imds-emulator/bin/python install --no-cache-dir \
        --no-compile "$(echo /wheels/*.whl)[network,webhook]"
RUN python3 deploy/image/root.py /rootfs

FROM scratch
LABEL org.opencontainers.image.title="imds-emulator" \
      org.opencontainers.image.description="The metadata service that any virtual machine boots from" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /rootfs /
# The root file system may be mounted read-only: state is the only thing that is written.
ENV PATH=/opt/imds-emulator/bin:/usr/sbin:/usr/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/var/lib
VOLUME ["/var/lib/imds-emulator"]
USER 65532:65532
EXPOSE 16925
ENTRYPOINT ["imds-emulator"]
# On every address of the container's own network; the operator's listener stays on its loopback.
CMD ["serve", "--listen", "0.0.0.0:16925"]
