# The operator's image, and the command line in it. Build: docker build -t REGISTRY/evenload:0.1.0 .
# Needs Python 3.11 or newer with venv and pip in the base; uid 65532 and a read-only root file system will do to run it.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY operator operator
# Versions as pinned. Without their hashes: with them pip would take no requirement that is not pinned by name.
RUN sed -e 's/ *\\$//' -e '/^ *--hash/d' constraints.txt > /tmp/constraints.txt \
 && python3 -m venv /opt/evenload \
 && /opt/evenload/bin/pip install --no-cache-dir --constraint /tmp/constraints.txt .

FROM ${BASE}
COPY --from=build /opt/evenload /opt/evenload
# kopf asks for the user's name, and dies where the uid has none and USER is unset.
ENV PATH=/opt/evenload/bin:/usr/local/bin:/usr/bin:/bin USER=evenload HOME=/tmp PYTHONUNBUFFERED=1
USER 65532:65532
ENTRYPOINT ["python3", "-m", "evenload"]
CMD ["run"]
