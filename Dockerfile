# A trained model as a service. Build it once, and give it a run folder or an export:
#
#   docker build -t candor .
#   docker run --rm -p 8000:8000 -e CANDOR_TOKEN=secret -v ./runs/mine:/model:ro candor
#
# Any other command works, too: docker run --rm candor --help
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/home/candor/.cache/huggingface

WORKDIR /app

# Torch first, and apart: it is the largest part and changes the least. An index with smaller builds, for a machine without
# a GPU, is given with --build-arg TORCH_INDEX=URL.
ARG TORCH_INDEX=""
COPY constraints.txt ./
RUN pip install -c constraints.txt ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch

COPY pyproject.toml README.md LICENSE ./
COPY src ./src
COPY recipes ./recipes
RUN pip install -c constraints.txt ".[serve]" \
    && useradd --create-home --uid 1000 candor

USER 1000
WORKDIR /home/candor
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=4)"]

ENTRYPOINT ["candor"]
CMD ["serve", "/model", "--host", "0.0.0.0", "--port", "8000"]
