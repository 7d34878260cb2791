# The service with the shipped bundles inside; nothing of training. `docker compose build` makes the image for the CPU,
# `docker build --target cuda --tag facepair:cuda .` the one for NVIDIA cards.
FROM scratch AS source
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE /
COPY app /app
COPY model /model

FROM python:3.11-slim AS build
RUN python -m venv /opt/facepair
ENV PATH=/opt/facepair/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY --from=source /constraints.txt ./

FROM build AS build-cpu
# Where there is no OpenVINO, as on ARM, PyTorch runs the networks: this index has its build without CUDA.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN [ "$(uname -m)" = x86_64 ] || pip install --extra-index-url "$TORCH_INDEX" --constraint constraints.txt torch
COPY --from=source / ./
RUN pip install --constraint constraints.txt '.[postgres]'

FROM build AS build-cuda
RUN pip install --constraint constraints.txt torch
COPY --from=source / ./
RUN pip install --constraint constraints.txt '.[torch,postgres]'

FROM python:3.11-slim AS service
ENV PATH=/opt/facepair/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 FACEPAIR_HOST=0.0.0.0
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["facepair"]

FROM service AS cuda
ENV FACEPAIR_DEVICE=cuda
COPY --from=build-cuda /opt/facepair /opt/facepair

FROM service AS cpu
COPY --from=build-cpu /opt/facepair /opt/facepair
