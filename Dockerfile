# The image to build on and to run on: Debian or Ubuntu with Python 3.11 or newer.
ARG BASE=debian:trixie-slim

FROM ${BASE} AS build
# The base image decides on versions.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The environment gets no pip: it is what the final stage carries.
RUN python3 -m pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . \
    && python3 -m venv --without-pip /opt/imds-emulator \
    && python3 -m pip --python /opt/imds-emulator/bin/python install --no-cache-dir \
        /wheels/*.whl

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && install --directory --owner=65532 --group=65532 --mode=0700 /var/lib/imds-emulator
COPY --from=build /opt/imds-emulator /opt/imds-emulator
# The root file system may be mounted read-only: state is the only thing that is written.
ENV PATH=/opt/imds-emulator/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    XDG_STATE_HOME=/var/lib
VOLUME ["/var/lib/imds-emulator"]
USER 65532:65532
EXPOSE 16925
ENTRYPOINT ["imds-emulator"]
# On every address of the container's own network; the operator's listener stays on its loopback.
CMD ["serve", "--listen", "0.0.0.0:16925"]
