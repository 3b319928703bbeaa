# The server in a container: docker build -t memtune .
FROM python:3.11-slim AS build

# Without a GPU the small build of torch is enough; for CUDA: --build-arg TORCH_INDEX=https://pypi.org/simple
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/memtune \
    && /opt/memtune/bin/pip install --no-cache-dir --index-url "$TORCH_INDEX" --extra-index-url https://pypi.org/simple \
        --constraint constraints.txt torch \
    && PIP_BUILD_CONSTRAINT=constraints.txt /opt/memtune/bin/pip install --no-cache-dir \
        --constraint constraints.txt '.[serve,parquet]'

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 memtune && install --directory --owner memtune --mode 0700 /data
COPY --from=build /opt/memtune /opt/memtune
ENV PATH=/opt/memtune/bin:$PATH PYTHONUNBUFFERED=1 MEMTUNE_DATA=/data
USER memtune
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
# It listens to other machines, so it wants a key before it starts: docker run … keys add NAME
ENTRYPOINT ["memtune"]
CMD ["serve", "--host", "0.0.0.0"]
