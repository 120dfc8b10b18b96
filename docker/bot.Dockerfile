# The bot: no torch inside. Build from the repository root: docker build -f docker/bot.Dockerfile -t lorasmith-bot .
FROM python:3.12.12-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY bot bot
COPY storage storage
COPY trainer/__init__.py trainer/py.typed trainer/
RUN python -m venv /opt/lorasmith && /opt/lorasmith/bin/pip install --no-cache-dir -c constraints.txt ".[bot]"

FROM python:3.12.12-slim-bookworm
RUN useradd --create-home --uid 10001 lorasmith && mkdir /data && chown lorasmith /data
COPY --from=build /opt/lorasmith /opt/lorasmith
ENV PATH=/opt/lorasmith/bin:$PATH LORASMITH_DATA_DIR=/data LORASMITH_WEB_HOST=0.0.0.0 PYTHONUNBUFFERED=1
USER lorasmith
VOLUME /data
EXPOSE 8480
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8480/health', timeout=4)"]
ENTRYPOINT ["lorasmith"]
CMD ["bot"]
