# The operator's image, and the command line in it. Build: docker build -t REGISTRY/evenload:0.1.0 .
# Needs Python 3.11 or newer with venv and pip in the base; uid 65532 and a read-only root file system will do to run it.
# By digest: a tag may name another image tomorrow. Change both together (docs/how-to/install.md says how to look it up).
ARG BASE=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS build
WORKDIR /src
COPY requirements.txt requirements-build.txt ./
# Whatever is installed has its hash in one of these files, and is a wheel: building others would fetch what has none.
RUN python3 -m venv /opt/evenload \
 && /opt/evenload/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt \
 && python3 -m venv /opt/build \
 && /opt/build/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements-build.txt
COPY pyproject.toml README.md LICENSE ./
COPY operator operator
RUN /opt/build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --no-index --wheel-dir /tmp/wheels . \
 && /opt/evenload/bin/pip install --no-cache-dir --no-deps --no-build-isolation --no-index /tmp/wheels/*.whl

FROM ${BASE}
COPY --from=build /opt/evenload /opt/evenload
# kopf asks for the user's name, and dies where the uid has none and USER is unset.
ENV PATH=/opt/evenload/bin:/usr/local/bin:/usr/bin:/bin USER=evenload HOME=/tmp PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["python3", "-m", "evenload"]
CMD ["run"]
