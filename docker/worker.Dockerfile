# The worker: one a GPU. Build from the repository root: docker build -f docker/worker.Dockerfile -t lorasmith-worker .
FROM python:3.12.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY bot/__init__.py bot/py.typed bot/
COPY storage storage
COPY trainer trainer
RUN python -m venv /opt/lorasmith && /opt/lorasmith/bin/pip install --no-cache-dir -c constraints.txt ".[trainer,small,tags]"

FROM python:3.12.12-slim-bookworm
RUN useradd --create-home --uid 10001 lorasmith && mkdir /data && chown lorasmith /data
COPY --from=build /opt/lorasmith /opt/lorasmith
ENV PATH=/opt/lorasmith/bin:$PATH LORASMITH_DATA_DIR=/data PYTHONUNBUFFERED=1 NVIDIA_VISIBLE_DEVICES=all
# Fetched base models stay in the volume: 7 GB that no new container should fetch again.
ENV HF_HOME=/data/hub
USER lorasmith
VOLUME /data
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s \
    CMD ["python", "-m", "trainer.health"]
ENTRYPOINT ["lorasmith"]
CMD ["worker"]
